// SPDX-License-Identifier: Apache-2.0
// DoorbellTable: the VM's MMIO ioeventfds (KVM_IOEVENTFD). When the VM is made anew after a guest
// reset, the doorbells that are still here are put into it. They may come and go at any time, with
// vCPUs running and between two VMs.
#pragma once

#include <map>
#include <optional>

#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/doorbells.hpp"
#include "vmm/kvm/vm_ioctl.hpp"

namespace gpuvm {

class DoorbellTable : public Doorbells, public Inspectable {
 public:
  /// Binds to a VM that has none and adds all known ones. Call while no vCPU runs.
  Status attach(VmIoctl vm);
  /// The VM is about to go. Until the next attach(), doorbells are only noted.
  void detach() {
    const MutexLock lock(mutex_);
    vm_ = nullptr;
  }

  Status connect(GuestAddress at, unsigned size, int event_fd) override;
  Status connect_value(GuestAddress at, unsigned size, std::uint64_t value, int event_fd) override;
  void disconnect(GuestAddress at) override;

  void inspect(InspectNode& node) const override;

 private:
  struct Doorbell {
    unsigned size = 0;
    int event_fd = -1;
    std::optional<std::uint64_t> value = {};  ///< the only one that counts
  };
  Status add(GuestAddress at, const Doorbell& doorbell);
  Status set(GuestAddress at, const Doorbell& doorbell, std::uint32_t flags) const
      GPUVM_REQUIRES(mutex_);

  mutable Mutex mutex_;
  VmIoctl vm_ GPUVM_GUARDED_BY(mutex_);
  std::map<GuestAddress, Doorbell> doorbells_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
