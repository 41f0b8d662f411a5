// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/resizable_bars.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kExtendedConfig = 0x100;
constexpr std::uint64_t kConfigEnd = 0x1000;
constexpr unsigned kMostExtended = (kConfigEnd - kExtendedConfig) / 8;  // of 8 bytes at least
constexpr std::uint32_t kResizableBar = 0x15;
constexpr std::uint64_t kFirstControl = 8;
constexpr std::uint64_t kEntrySize = 8;
constexpr unsigned kMostEntries = 6;

Result<std::uint32_t> read_dword(PhysicalDevice& device, std::uint64_t offset) {
  std::array<std::byte, 4> bytes{};
  TRY(device.read(RegionIndex::kConfig, offset, bytes));
  return static_cast<std::uint32_t>(load_le(bytes));
}

/// 0: there is none.
Result<std::uint64_t> find_resizable_bars(PhysicalDevice& device) {
  std::uint64_t offset = kExtendedConfig;
  for (unsigned step = 0; step < kMostExtended; ++step) {
    const auto header = TRY(read_dword(device, offset));
    if (header == 0 || header == 0xffffffff) {
      break;
    }
    if ((header & 0xffff) == kResizableBar) {
      return offset;
    }
    offset = header >> 20 & 0xffc;
    if (offset < kExtendedConfig) {
      break;
    }
  }
  return std::uint64_t{0};
}

}  // namespace

Result<std::uint64_t> read_bar_size_codes(PhysicalDevice& device) {
  if (device.region(RegionIndex::kConfig).size < kConfigEnd) {
    return std::uint64_t{0};
  }
  const auto capability = TRY(find_resizable_bars(device));
  if (capability == 0) {
    return std::uint64_t{0};
  }
  const auto first = TRY(read_dword(device, capability + kFirstControl));
  const unsigned entries = std::min<unsigned>(first >> 5 & 7, kMostEntries);
  std::uint64_t codes = 0;
  for (unsigned i = 0; i < entries; ++i) {
    const std::uint64_t control = capability + kFirstControl + i * kEntrySize;
    if (control + 4 <= kConfigEnd) {
      codes |= std::uint64_t{TRY(read_dword(device, control)) >> 8 & 0x3f} << 8 * i;
    }
  }
  return codes;
}

}  // namespace gpuvm
