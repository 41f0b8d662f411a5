// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/gpudirect.hpp"

#include <algorithm>
#include <array>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::uint8_t kDisplay = 0x03;
constexpr std::uint8_t kMostClique = 15;
constexpr std::uint16_t kSize = 8;
constexpr std::uint32_t kFirst = 0x50080009;   // vendor-specific, 8 bytes, 'P'
constexpr std::uint32_t kSecond = 0x00005032;  // "2P", version 0
constexpr unsigned kCliqueShift = 19;
/// Where GPUs before Turing, and from then on, have room.
constexpr std::array<std::uint16_t, 2> kPlaces = {0xc8, 0xd4};

/// Sizes of capabilities at their largest: PCI Express Base 6.0, 7.5.2, 7.5.3, 7.7.1, 7.7.2, 7.9.
std::uint16_t size_of(std::span<const std::byte> config, const CapabilityHeader& capability) {
  switch (capability.id) {
    case 0x05:
      return 0x18;  // MSI
    case 0x09:      // vendor-specific: says it itself
      return std::max<std::uint16_t>(
          load_at<std::uint8_t>(config, capability.offset + 2U).value_or(0), 4);
    case 0x10:
      return 0x3c;  // PCI Express
    case 0x11:
      return 0x0c;  // MSI-X
    default:
      return 8;
  }
}

bool is_free(std::span<const std::byte> config, std::uint16_t place) {
  const auto all = standard_capabilities(config);
  return std::none_of(all.begin(), all.end(), [&](const CapabilityHeader& capability) {
    return capability.offset < place + kSize &&
           place < capability.offset + size_of(config, capability);
  });
}

}  // namespace

Result<ExtraCapability> gpudirect_capability(std::span<const std::byte> config,
                                             std::uint8_t clique) {
  const auto vendor = load_at<std::uint16_t>(config, pci::kVendorId).value_or(0);
  const auto base_class = load_at<std::uint8_t>(config, 0xb).value_or(0);
  if (vendor != kNvidia || base_class != kDisplay) {
    return fail(ErrorKind::kConfig, "pci.gpudirect_clique is for NVIDIA's GPUs only");
  }
  if (clique > kMostClique) {
    return fail(ErrorKind::kConfig, "pci.gpudirect_clique must be 0 to 15, not {}", clique);
  }
  for (const auto place : kPlaces) {
    if (!standard_capabilities(config).empty() && is_free(config, place)) {
      return ExtraCapability{.offset = place,
                             .first = kFirst,
                             .second = kSecond | std::uint32_t{clique} << kCliqueShift,
                             .reason = "GPUDirect clique, from the configuration"};
    }
  }
  return fail(ErrorKind::kConfig,
              "pci.gpudirect_clique has no place: both 0xc8 and 0xd4 are taken; leave it out");
}

}  // namespace gpuvm
