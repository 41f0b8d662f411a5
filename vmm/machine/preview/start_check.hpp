// SPDX-License-Identifier: Apache-2.0
// What a start of a guest needs, looked at before a device is touched: the files that its
// configuration names, the names in it that only this host can judge, and the host itself. Changes
// nothing. Missing: what only the start itself can tell (BAR sizes, a server behind a socket, a
// kernel that does not fit into memory beside its initrd).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/config/config.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {

/// Finding::check of the control socket: its place, its name, which another guest may have, and its
/// group.
constexpr std::string_view kControlCheck = "control";

/// What the guest asks of its host; of `functions` those that are the host's.
HostNeeds needs_of(const Config& config, const std::vector<HostFunction>& functions);

/// Names of CPU features and enlightenments, host CPUs and NUMA nodes. Errors: kConfig; kHost where
/// KVM does not serve an enlightenment.
Status check_names(const HostSystem& host, const Config& config);

/// Errors: kConfig where there is an initrd that cannot be opened.
Status check_initrd(const BootConfig& boot);

/// Kernel, read and examined, with its command line, and initrd of the modes in which gpuvm itself
/// loads them. Errors: kConfig.
Status check_kernel_files(const BootConfig& boot);

/// All of it, in the order in which a run meets it.
std::vector<Finding> check_start(const HostSystem& host, const Config& config,
                                 const std::vector<HostFunction>& functions);

}  // namespace gpuvm
