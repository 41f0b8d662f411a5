// SPDX-License-Identifier: Apache-2.0
// PhysicalHosts: the kinds of hosts that a guest's functions come from (kernel VFIO, vfio-user
// servers) as one: memory goes to all of them, a reset to the one that has the function.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

class Owner;

/// Asked before each step of a map, with where it ends in the file of the memory, in bytes; true:
/// the rest is not wanted. It may wait, for what shall be mapped to be there.
using MapIsUnwanted = std::function<bool(std::uint64_t end)>;

/// Any thread; no lock is held while a host works, which may take minutes.
class PhysicalHosts final : public PhysicalHost {
 public:
  /// `host` and its devices must outlive this, or what is there until clear().
  void add(PhysicalHost& host, const std::vector<PhysicalDevice*>& devices);
  /// Before hosts go; no other call may be under way.
  void clear();
  /// Links are trained by `owner`, which must outlive this: this process has no right to, any more.
  void retrain_by(Owner& owner);

  /// Of all hosts, in the order of add().
  std::vector<PhysicalDevice*> devices() const;

  Status map_dma(Iova at, const DmaMemory& memory) override;
  /// map_dma() in steps, as each host wants them. Errors: also kCancelled, where `is_unwanted` said
  /// so before one: what is mapped stays.
  Status map_in_steps(Iova at, const DmaMemory& memory, const MapIsUnwanted& is_unwanted);
  Status unmap_dma(Iova at, std::uint64_t size) override;
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) override;
  Status hot_reset(PhysicalDevice& device) override;
  Status check_link_retrain(PhysicalDevice& device) override;
  Status retrain_link(PhysicalDevice& device) override;

 private:
  struct Entry {
    PhysicalHost* host;
    std::vector<PhysicalDevice*> devices;
  };
  Result<PhysicalHost*> host_of(const PhysicalDevice& device) const;
  std::vector<PhysicalHost*> hosts() const;
  /// Who trains the link above it, if that is not its host.
  std::pair<Owner*, Bdf> trainer_of(const PhysicalDevice& device) const;

  mutable Mutex mutex_;
  std::vector<Entry> entries_ GPUVM_GUARDED_BY(mutex_);
  Owner* trainer_ GPUVM_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace gpuvm
