// SPDX-License-Identifier: Apache-2.0
// Register-level helpers of a KVM vCPU: initial state, position for messages, KVM's own statistics.
#pragma once

#include <string>

#include "firmware/linux/cpu_entry_state.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// Sets general, segment and control registers of a vCPU that has not run yet.
Status apply_entry_state(int vcpu_fd, const CpuEntryState& state);

/// "rip 0x…, cr3 0x…" for failure messages.
std::string describe_position(int vcpu_fd);

/// KVM's cumulative counters of a vCPU (KVM_GET_STATS_FD, Linux 5.14); none on older hosts. To be
/// opened before the vCPU runs: whoever asks KVM for them later waits until KVM_RUN has returned,
/// which of an idle guest it may not do for hours.
UniqueFd open_kvm_statistics(int vcpu_fd);

/// Adds those whose names end in "exits". Any time, any thread; does not wait for the vCPU.
void read_kvm_statistics(const UniqueFd& statistics, InspectNode& node);

}  // namespace gpuvm
