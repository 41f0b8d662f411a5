// SPDX-License-Identifier: Apache-2.0
// Every precondition of guests on a host, or of one guest, as lines with their cures. What a run is
// refused for is judged by what a run and its preview judge with (vmm/host/host_check.hpp,
// vmm/machine/preview); here that is told in full, with what only makes guests slower or what a
// user may want to know. Nothing is touched. Missing: what only a start can tell (see gpuvm(1)).
#pragma once

#include <optional>

#include "vmm/check/check_line.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host_map/host_map.hpp"

namespace gpuvm {

/// All must outlive a call.
struct CheckSubject {
  const HostSystem& host;
  const HostMap& map;
  const Config* config = nullptr;  ///< nothing: the host, and each of its GPUs
  /// The host is this machine: its kernel and this process can be asked, too. Else it was saved,
  /// and what only these know is left out.
  bool is_here = true;
};

/// The host's lines first, then the guest's, then each device's.
CheckLines check_everything(const CheckSubject& subject);

// Parts of it.

/// KVM, IOMMU, VFIO, memory, kernel (host_checks.cpp).
void add_host_lines(const CheckSubject& subject, CheckLines& lines);
/// What a start of a guest with this configuration would find, as its preview tells
/// (finding_lines.cpp). `devices_only`: not of its files and the host's programs.
void add_finding_lines(const CheckSubject& subject, const Config& config, bool devices_only,
                       CheckLines& lines);
/// A finding with its reason and cure (finding_words.hpp).
CheckLine finding_line(const Finding& finding);
/// What is known of a function beside what a start is refused for (device_checks.cpp).
void add_device_lines(const CheckSubject& subject, const MapFunction& function, CheckLines& lines);

}  // namespace gpuvm
