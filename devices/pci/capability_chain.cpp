// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/capability_chain.hpp"

#include <algorithm>
#include <bitset>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

// The dwords that hold the registers of PCI Express Base 6.0, 7.5.1.1.
constexpr std::uint16_t kStatusDword = pci::kCommand;
constexpr std::uint32_t kStatusCapabilities = std::uint32_t{pci::kStatusCapabilities} << 16;
constexpr std::uint16_t kFirstStandard = 0x40;

}  // namespace

std::uint32_t config_dword(std::span<const std::byte> config, std::uint16_t offset) {
  return load_at<std::uint32_t>(config, offset).value_or(0);
}

std::uint16_t capability_room(std::uint16_t offset, std::uint16_t size,
                              std::span<const CapabilityHeader> all, std::size_t end) {
  auto limit = std::min<std::size_t>(end, std::size_t{offset} + size);
  for (const auto& capability : all) {
    if (capability.offset > offset) {
      limit = std::min<std::size_t>(limit, capability.offset);
    }
  }
  return static_cast<std::uint16_t>(limit - offset);
}

std::vector<CapabilityHeader> standard_capabilities(std::span<const std::byte> config) {
  std::vector<CapabilityHeader> found;
  if (config.size() < kFirstStandard ||
      (config_dword(config, kStatusDword) & kStatusCapabilities) == 0) {
    return found;
  }
  const auto standard = config.first(std::min<std::size_t>(config.size(), pci::kLegacyConfigSize));
  std::bitset<pci::kLegacyConfigSize / 4> seen;
  auto offset =
      static_cast<std::uint16_t>(config_dword(standard, pci::kCapabilitiesPointer) & 0xfcU);
  while (offset >= kFirstStandard && std::size_t{offset} + 4 <= standard.size() &&
         !seen[offset / 4]) {
    seen.set(offset / 4);
    const auto header = config_dword(standard, offset);
    found.push_back({.id = static_cast<std::uint16_t>(header & 0xffU), .offset = offset});
    offset = static_cast<std::uint16_t>((header >> 8) & 0xfcU);
  }
  return found;
}

std::vector<CapabilityHeader> extended_capabilities(std::span<const std::byte> config) {
  std::vector<CapabilityHeader> found;
  std::bitset<pci::kConfigSize / 4> seen;
  const auto size = std::min<std::size_t>(config.size(), pci::kConfigSize);
  std::uint16_t offset = pci::kExtendedCapabilities;
  while (offset >= pci::kExtendedCapabilities && std::size_t{offset} + 4 <= size &&
         !seen[offset / 4]) {
    seen.set(offset / 4);
    const auto header = config_dword(config, offset);
    if (header == 0 || header == ~0U) {
      break;  // 7.6.3: no extended capabilities, or nothing there at all
    }
    found.push_back({.id = static_cast<std::uint16_t>(header & 0xffffU), .offset = offset});
    offset = static_cast<std::uint16_t>((header >> 20) & 0xffcU);
  }
  return found;
}

std::uint16_t find_capability(std::span<const std::byte> config, std::uint8_t id) {
  for (const auto& capability : standard_capabilities(config)) {
    if (capability.id == id) {
      return capability.offset;
    }
  }
  return 0;
}

}  // namespace gpuvm
