// SPDX-License-Identifier: Apache-2.0
// Reading the configuration space of a physical function: all of it, or one register. Values that
// come back are the device's and hostile.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "devices/pci/capability_chain.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {

/// The whole configuration space, by dwords: what cannot be read past the header is zero. Errors:
/// kHost (no answer), kConfig (a bridge).
Result<std::vector<std::byte>> read_physical_config(PhysicalDevice& device);

/// The device's registers for a walk of its capabilities; it must outlive what is returned.
ConfigDwordReader config_dword_reader(PhysicalDevice& device);

/// One register of configuration space. Errors: those of PhysicalDevice::read().
template <class T>
Result<T> read_config(PhysicalDevice& device, std::uint64_t offset) {
  std::array<std::byte, sizeof(T)> bytes{};
  TRY(device.read(RegionIndex::kConfig, offset, bytes));
  return static_cast<T>(load_le(bytes));
}

/// Errors: those of PhysicalDevice::write().
template <class T>
Status write_config(PhysicalDevice& device, std::uint64_t offset, T value) {
  std::array<std::byte, sizeof(T)> bytes{};
  store_le(bytes, value);
  return device.write(RegionIndex::kConfig, offset, bytes);
}

}  // namespace gpuvm
