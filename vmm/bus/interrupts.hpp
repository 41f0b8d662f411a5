// SPDX-License-Identifier: Apache-2.0
// What devices need of the interrupt hardware, without KVM in sight. The kvm room implements it;
// tests fake it.
#pragma once

#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// An MSI as PCI devices send it: a write of data to address (0xfeexxxxx on x86).
struct MsiMessage {
  std::uint64_t address = 0;
  std::uint32_t data = 0;
  bool operator==(const MsiMessage&) const = default;
};

/// MSI routes: an eventfd that the kernel turns into a guest MSI without user space. Any thread.
class MsiController {
 public:
  virtual ~MsiController() = default;
  /// Makes `event_fd` deliver `message` from now on; returns the GSI that stands for the route.
  virtual Result<Gsi> connect(int event_fd, MsiMessage message) = 0;
  /// Changes where a connected route goes. One call may carry a hypervisor-wide cost: skip it when
  /// nothing changes.
  virtual Status update(Gsi route, MsiMessage message) = 0;
  virtual void disconnect(Gsi route, int event_fd) = 0;
};

/// Pins of the I/O APIC. Any thread.
class InterruptPins {
 public:
  virtual ~InterruptPins() = default;
  /// Level of a pin as an emulated device drives it.
  virtual void set_level(Gsi pin, bool high) = 0;
  /// Level-triggered passthrough: trigger raises the pin; at the guest's EOI the pin falls and
  /// resample is signalled.
  virtual Status connect_level(Gsi pin, int trigger_fd, int resample_fd) = 0;
  virtual void disconnect_level(Gsi pin, int trigger_fd) = 0;
};

}  // namespace gpuvm
