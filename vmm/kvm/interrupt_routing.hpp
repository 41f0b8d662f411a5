// SPDX-License-Identifier: Apache-2.0
// InterruptRouting: GSIs 0 to 23 are the pins of the in-kernel PIC and I/O APIC; each MSI route
// takes a GSI from 24 up (KVM_SET_GSI_ROUTING, KVM_IRQFD). All routes are set anew at each change,
// as the interface wants. Routes may come and go at any time while there is a VM; without one they
// can only go.
#pragma once

#include <map>

#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/kvm/vm_ioctl.hpp"

namespace gpuvm {

class InterruptRouting : public MsiController, public InterruptPins, public Inspectable {
 public:
  static constexpr std::uint32_t kIoApicPins = 24;

  /// Binds to a VM with a fresh irqchip. Routes and pins must have been disconnected before.
  Status attach(VmIoctl vm);
  /// The VM is about to go; until the next attach() nothing reaches one.
  void detach() {
    const MutexLock lock(mutex_);
    vm_ = nullptr;
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
  Status publish() GPUVM_REQUIRES(mutex_);
  Status set_irqfd(Gsi gsi, int event_fd, std::uint32_t flags, int resample_fd)
      GPUVM_REQUIRES(mutex_);
  void drop_irqfd(Gsi gsi, int event_fd) GPUVM_REQUIRES(mutex_);

  mutable Mutex mutex_;
  VmIoctl vm_ GPUVM_GUARDED_BY(mutex_);
  std::map<std::uint32_t, MsiMessage> routes_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t updates_ GPUVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace gpuvm
