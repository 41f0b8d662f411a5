// SPDX-License-Identifier: Apache-2.0
// The tables of which role_tables.cpp makes the roles' lists. Of this room alone.
#pragma once

#include <span>

#include "vmm/sandbox/filter_row.hpp"

namespace gpuvm::sandbox {

// rows_guest.cpp
std::span<const Row> vcpu_rows();
std::span<const Row> device_rows();  ///< what an access of the guest leads to: vcpu and worker
std::span<const Row> vhost_rows();   ///< of devices that the kernel serves: vcpu and worker
std::span<const Row> queue_rows();
std::span<const Row> reader_rows();
std::span<const Row> memory_rows();

// rows_host.cpp
std::span<const Row> thread_rows();  ///< what makes a thread: worker and memory
std::span<const Row> control_rows();
std::span<const Row> worker_rows();
std::span<const Row> file_rows();  ///< until the owner has it: sysfs, /run/gpuvm, the kernel's file
std::span<const Row> child_rows();  ///< until the owner has it: processes that write to sysfs
std::span<const Row> watcher_rows();
std::span<const Row> words_rows();
std::span<const Row> inspector_rows();
std::span<const Row> variable_rows();

}  // namespace gpuvm::sandbox
