// SPDX-License-Identifier: Apache-2.0
// InterruptRouting: GSIs 0 to 23 are the pins of the in-kernel PIC and I/O APIC; each MSI route
// takes a GSI from 24 up (KVM_SET_GSI_ROUTING, KVM_IRQFD). All routes are set anew at each change,
// as the interface wants.
#pragma once

#include <map>
#include <mutex>

#include "vmm/base/inspect.hpp"
#include "vmm/bus/interrupts.hpp"

namespace gpuvm {

class InterruptRouting : public MsiController, public InterruptPins, public Inspectable {
 public:
  static constexpr std::uint32_t kIoApicPins = 24;

  /// Binds to a VM with a fresh irqchip. Routes and pins must have been disconnected before.
  Status attach(int vm_fd);
  /// The VM is about to go; until the next attach() nothing reaches one.
  void detach() {
    const std::lock_guard lock(mutex_);
    vm_fd_ = -1;
  }

  Result<Gsi> connect(int event_fd, MsiMessage message) override;
  Status update(Gsi route, MsiMessage message) override;
  void disconnect(Gsi route, int event_fd) override;

  void set_level(Gsi pin, bool high) override;
  Status connect_level(Gsi pin, int trigger_fd, int resample_fd) override;
  void disconnect_level(Gsi pin, int trigger_fd) override;

  std::size_t route_count() const;
  void inspect(InspectNode& node) const override;

 private:
  Status publish();
  Status set_irqfd(Gsi gsi, int event_fd, std::uint32_t flags, int resample_fd);

  mutable std::mutex mutex_;  ///< guards the members below
  int vm_fd_ = -1;
  std::map<std::uint32_t, MsiMessage> routes_;
  std::uint64_t updates_ = 0;
};

}  // namespace gpuvm
