// SPDX-License-Identifier: Apache-2.0
// DoorbellTable: the VM's MMIO ioeventfds (KVM_IOEVENTFD). When the VM is made anew after a guest
// reset, the doorbells that are still here are put into it.
#pragma once

#include <map>
#include <mutex>
#include <optional>

#include "vmm/base/inspect.hpp"
#include "vmm/bus/doorbells.hpp"

namespace gpuvm {

class DoorbellTable : public Doorbells, public Inspectable {
 public:
  /// Binds to a VM that has none and adds all known ones. Call while no vCPU runs.
  Status attach(int vm_fd);
  /// The VM is about to go; until the next attach() nothing reaches one.
  void detach() {
    const std::lock_guard lock(mutex_);
    vm_fd_ = -1;
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
  Status set(GuestAddress at, const Doorbell& doorbell, std::uint32_t flags) const;

  mutable std::mutex mutex_;  ///< guards the members below
  int vm_fd_ = -1;
  std::map<GuestAddress, Doorbell> doorbells_;
};

}  // namespace gpuvm
