// SPDX-License-Identifier: Apache-2.0
// IntxLine: the function's INTx (PCI Local Bus 3.0, 2.2.6; PCI Express Base 6.0, 6.1.2) wired to a
// pin of the guest's I/O APIC. The host masks the line when it fires; the guest's end of interrupt
// signals the resample eventfd, which unmasks it.
#pragma once

#include <optional>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/bus/interrupts.hpp"

namespace gpuvm {

/// Not thread safe: the function's lock protects it.
class IntxLine : public Inspectable {
 public:
  IntxLine(PhysicalDevice& device, InterruptPins& pins, Gsi pin)
      : device_(device), pins_(pins), pin_(pin) {}
  ~IntxLine() override { disable(); }
  IntxLine(const IntxLine&) = delete;
  IntxLine& operator=(const IntxLine&) = delete;

  /// Does nothing if the device has no INTx. MSI and MSI-X must be off. Errors: kHost, and then
  /// nothing is connected.
  Status enable();
  void disable();
  bool enabled() const { return wires_.has_value(); }
  /// Interrupt Disable in the Command register; kept over disable() and enable().
  Status set_masked(bool masked);
  void inspect(InspectNode& node) const override;

 private:
  struct Wires {
    EventFd trigger;
    EventFd resample;
  };
  Status connect_device(const Wires& wires);
  Status mask_device(const Wires& wires);

  PhysicalDevice& device_;
  InterruptPins& pins_;
  const Gsi pin_;
  std::optional<Wires> wires_;  ///< present while enabled
  bool masked_ = false;
  log::RateLimit limit_;
};

}  // namespace gpuvm
