// SPDX-License-Identifier: Apache-2.0
// The allow lists of thread roles: which system calls a thread of a role may make, and what for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/sandbox/filter_row.hpp"
#include "vmm/sandbox/roles/thread_role.hpp"

namespace gpuvm::sandbox {

/// What vCPUs are kicked with, as the C library of GNU counts: SIGRTMIN, which is no constant.
inline constexpr std::uint32_t kKickSignal = 34;

/// Every role's: memory, locks, time, the log, the end of a thread.
std::span<const Row> common_rows();
/// Both, those of the role first; rows for the owner's work are left out where there is an owner.
/// Conditions on this process have its number.
std::vector<Row> all_rows(ThreadRole role, bool has_owner);

/// Whether a thread of the role still opens files until the owner has that.
bool opens_files(ThreadRole role, bool has_owner);

}  // namespace gpuvm::sandbox
