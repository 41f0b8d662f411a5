// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/config_reader.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"

namespace gpuvm {

ConfigDwordReader config_dword_reader(PhysicalDevice& device) {
  return [&device](std::uint16_t offset) { return read_config<std::uint32_t>(device, offset); };
}

Result<std::vector<std::byte>> read_physical_config(PhysicalDevice& device) {
  const auto size =
      std::min<std::uint64_t>(device.region(RegionIndex::kConfig).size, pci::kConfigSize) & ~3U;
  std::vector<std::byte> config(size);
  for (std::uint64_t offset = 0; offset < size; offset += 4) {
    const std::span<std::byte> dword(config.data() + offset, 4);
    if (auto status = device.read(RegionIndex::kConfig, offset, dword); !status) {
      if (offset < pci::kHeaderSize) {
        return std::move(status).error();
      }
      store_le(dword, 0);
    }
  }
  const auto vendor = load_at<std::uint16_t>(config, pci::kVendorId).value_or(pci::kNoVendor);
  if (vendor == pci::kNoVendor) {
    return fail(ErrorKind::kHost,
                "Device {} does not answer (vendor id ffff); power-cycle the host", device.name());
  }
  if ((load_at<std::uint8_t>(config, pci::kHeaderType).value_or(0) & pci::kHeaderLayoutMask) != 0) {
    return fail(ErrorKind::kConfig, "Device {} is a bridge; pass through the devices behind it",
                device.name());
  }
  return config;
}

}  // namespace gpuvm
