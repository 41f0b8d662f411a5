// SPDX-License-Identifier: Apache-2.0
// VfioUserHost: the vfio-user servers of a guest. Each function is a slot of its own, which its
// server resets at our DEVICE_RESET. Servers get guest memory as a file, so they can do to it what
// they like: they are as trusted as the guest itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/vfio_user/vfio_user_device.hpp"

namespace gpuvm {

/// Control thread only, but for hot resets, DMA mappings and the devices' own region accesses: any
/// thread. It has no lock: what it holds is the same from open() on.
class VfioUserHost final : public PhysicalHost {
 public:
  /// Connects to every socket. Errors: as VfioUserDevice::connect().
  static Result<std::unique_ptr<VfioUserHost>> open(const std::vector<std::string>& sockets,
                                                    const VfioUserDevice::Options& options = {});
  explicit VfioUserHost(std::vector<std::unique_ptr<VfioUserDevice>> devices)
      : devices_(std::move(devices)) {}

  /// In the order of open().
  std::size_t device_count() const { return devices_.size(); }
  VfioUserDevice& device(std::size_t index) { return *devices_.at(index); }
  std::vector<PhysicalDevice*> devices() const;

  Status map_dma(Iova at, const DmaMemory& memory) override;
  Status unmap_dma(Iova at, std::uint64_t size) override;
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) override;
  Status hot_reset(PhysicalDevice& device) override;

 private:
  Result<VfioUserDevice*> find(const PhysicalDevice& device) const;

  std::vector<std::unique_ptr<VfioUserDevice>> devices_;
};

}  // namespace gpuvm
