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

Status for_each_capability(const ConfigDwordReader& read, const CapabilityVisitor& visit) {
  if ((TRY(read(kStatusDword)) & kStatusCapabilities) == 0) {
    return {};
  }
  std::bitset<pci::kLegacyConfigSize / 4> seen;
  auto offset = static_cast<std::uint16_t>(TRY(read(pci::kCapabilitiesPointer)) &
                                           pci::kCapabilityPointerMask);
  while (offset >= pci::kHeaderSize && !seen[offset / 4]) {
    seen.set(offset / 4);
    const auto header = TRY(read(offset));
    if (!visit({.id = static_cast<std::uint16_t>(header & 0xffU), .offset = offset})) {
      return {};
    }
    offset = static_cast<std::uint16_t>((header >> 8) & pci::kCapabilityPointerMask);
  }
  return {};
}

Status for_each_extended_capability(const ConfigDwordReader& read, const CapabilityVisitor& visit) {
  std::bitset<pci::kConfigSize / 4> seen;
  std::uint16_t offset = pci::kExtendedCapabilities;
  while (offset >= pci::kExtendedCapabilities && !seen[offset / 4]) {
    seen.set(offset / 4);
    const auto header = TRY(read(offset));
    if (header == 0 || header == pci::kAllOnes ||  // 7.6.3: none, or nothing there at all
        !visit({.id = static_cast<std::uint16_t>(header & 0xffffU), .offset = offset})) {
      return {};
    }
    offset = static_cast<std::uint16_t>((header >> pci::kExtendedNextShift) & 0xffcU);
  }
  return {};
}

ConfigDwordReader config_dword_reader(std::span<const std::byte> config) {
  return [config](std::uint16_t offset) -> Result<std::uint32_t> {
    const auto dword = load_at<std::uint32_t>(config, offset);
    if (!dword) {
      return fail(ErrorKind::kConfig, "A capability lies past the end of configuration space");
    }
    return *dword;
  };
}

namespace {

/// All that a walk comes to before it ends, for whatever reason.
template <class Walk>
std::vector<CapabilityHeader> collect(const Walk& walk, std::span<const std::byte> config) {
  std::vector<CapabilityHeader> found;
  const auto keep = [&found](const CapabilityHeader& capability) {
    found.push_back(capability);
    return true;
  };
  [[maybe_unused]] const Status end = walk(config_dword_reader(config), keep);
  return found;
}

}  // namespace

std::vector<CapabilityHeader> standard_capabilities(std::span<const std::byte> config) {
  return collect(for_each_capability,
                 config.first(std::min<std::size_t>(config.size(), pci::kLegacyConfigSize)));
}

std::vector<CapabilityHeader> extended_capabilities(std::span<const std::byte> config) {
  return collect(for_each_extended_capability,
                 config.first(std::min<std::size_t>(config.size(), pci::kConfigSize)));
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
