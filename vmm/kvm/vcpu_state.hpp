// SPDX-License-Identifier: Apache-2.0
// Register-level helpers of a KVM vCPU: initial state, position for messages, KVM's own statistics.
#pragma once

#include <string>

#include "firmware/linux/cpu_entry_state.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// Sets general, segment and control registers of a vCPU that has not run yet.
Status apply_entry_state(int vcpu_fd, const CpuEntryState& state);

/// "rip 0x…, cr3 0x…" for failure messages.
std::string describe_position(int vcpu_fd);

/// Adds KVM's cumulative counters (KVM_GET_STATS_FD, Linux 5.14) whose names end in "exits", or
/// nothing on older hosts.
void read_kvm_statistics(int vcpu_fd, InspectNode& node);

}  // namespace gpuvm
