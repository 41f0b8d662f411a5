// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio_user/vfio_user_host.hpp"

#include "vmm/base/units.hpp"

namespace gpuvm {

Result<std::unique_ptr<VfioUserHost>> VfioUserHost::open(const std::vector<std::string>& sockets,
                                                         const VfioUserDevice::Options& options) {
  std::vector<std::unique_ptr<VfioUserDevice>> devices;
  devices.reserve(sockets.size());
  for (const std::string& socket : sockets) {
    devices.push_back(TRY(VfioUserDevice::connect(socket, options)));
  }
  return std::make_unique<VfioUserHost>(std::move(devices));
}

std::vector<PhysicalDevice*> VfioUserHost::devices() const {
  std::vector<PhysicalDevice*> pointers;
  for (const auto& device : devices_) {
    pointers.push_back(device.get());
  }
  return pointers;
}

Result<VfioUserDevice*> VfioUserHost::find(const PhysicalDevice& device) const {
  for (const auto& ours : devices_) {
    if (ours.get() == &device) {
      return ours.get();
    }
  }
  return fail(ErrorKind::kInternal, "{} has no vfio-user server", device.name());
}

Status VfioUserHost::map_dma(Iova at, const DmaMemory& memory) {
  if (memory.bytes.empty() || !is_aligned(at.value() | memory.bytes.size(), kPageSize)) {
    return fail(ErrorKind::kInternal, "DMA mapping at {:#x} of {:#x} bytes is not whole pages",
                at.value(), memory.bytes.size());
  }
  for (const auto& device : devices_) {
    TRY(device->map_dma(at, memory));
  }
  return {};
}

Status VfioUserHost::unmap_dma(Iova at, std::uint64_t size) {
  for (const auto& device : devices_) {
    TRY(device->unmap_dma(at, size));
  }
  return {};
}

Result<std::vector<HotResetMember>> VfioUserHost::hot_reset_set(PhysicalDevice& device) {
  const VfioUserDevice* const ours = TRY(find(device));
  if (!ours->has_slot_reset()) {
    return fail(ErrorKind::kHost, "The vfio-user server offers no reset of {}", device.name());
  }
  return std::vector<HotResetMember>{{.bdf = {}, .group = 0, .device = device.name()}};
}

Status VfioUserHost::hot_reset(PhysicalDevice& device) {
  return TRY(find(device))->slot_reset();
}

}  // namespace gpuvm
