// SPDX-License-Identifier: Apache-2.0
// UpstreamPort: the root port or switch port above a function, which belongs to the host: its link
// can be trained again (PCI Express Base 6.0, 7.5.3.6 to 7.5.3.8), and its slot may have a power
// switch (7.5.3.9; Linux, Documentation/ABI/testing/sysfs-bus-pci: slots). Missing: slots whose
// power the kernel does not offer in /sys/bus/pci/slots, because it has no hotplug driver for them.
#pragma once

#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// How time is waited for; tests give one that does not wait.
using HostSleep = std::function<void(std::chrono::milliseconds)>;
void sleep_for_real(std::chrono::milliseconds time);

/// How long the kernel may work on a slot: it waits up to 60 s for each function that it finds
/// (Linux, drivers/pci/probe.c, pci_scan_device()), and for whoever holds its lock of all slots.
constexpr std::chrono::seconds kSlotLimit{180};

/// Nothing of it is kept but where it is; any thread, one at a time for what changes a port.
class UpstreamPort {
 public:
  /// Errors: kHost: the function is on a root bus, or what is above it has no link of its own.
  /// `host` must outlive the object.
  static Result<UpstreamPort> above(const HostSystem& host, const Bdf& bdf);

  const Bdf& bdf() const { return bdf_; }
  /// Every function below it now, behind further bridges too, and these bridges; sorted.
  std::vector<Bdf> functions() const;
  /// What happens to the port happens to all that is below it. Errors: kHost naming what is below
  /// it and not among `ours`.
  Status check_owned(std::span<const Bdf> ours) const;

  /// Trains the link again and waits until that is done, 3 s at most, and for a port that says when
  /// its link is up until it is. What is below answers some time later. Errors: kHost.
  Status retrain(const HostSleep& sleep = sleep_for_real) const;
  /// The attribute that switches the power of the slot with device `slot`; the port must have a
  /// power controller. Errors: kHost, why there is none.
  Result<std::string> power_switch(const Bdf& slot) const;
  /// Lets the kernel look for what is below it, kSlotLimit at most. Errors: kHost.
  Status rescan() const;

 private:
  UpstreamPort(const HostSystem& host, const Bdf& bdf, std::size_t express)
      : host_(&host), bdf_(bdf), express_(express) {}
  Result<std::uint32_t> read(std::size_t offset, std::size_t size) const;
  Status await(std::uint16_t mask, std::uint16_t value, std::string_view what,
               const HostSleep& sleep) const;

  const HostSystem* host_;
  Bdf bdf_;
  std::size_t express_;  ///< where its PCI Express capability is
};

}  // namespace gpuvm
