// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/memory_bars.hpp"

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kBarCount = 6;
constexpr std::uint32_t kBarType = 3U << 1;

bool is_dword_alive(PhysicalDevice& device, unsigned bar, std::uint64_t offset) {
  std::array<std::byte, sizeof(std::uint32_t)> bytes{};
  const Status status = device.read(bar_region(bar), offset, bytes);
  return status && static_cast<std::uint32_t>(load_le(bytes)) != pci::kAllOnes;
}

}  // namespace

Result<std::vector<MemoryBar>> memory_bars(PhysicalDevice& device) {
  std::vector<MemoryBar> bars;
  for (unsigned bar = 0; bar < kBarCount; ++bar) {
    const auto value = TRY(read_config<std::uint32_t>(device, pci::kBar0 + bar * 4));
    const RegionInfo& region = device.region(bar_region(bar));
    const bool is_io = (value & pci::kBarIo) != 0;
    if (!is_io && region.readable && region.size >= sizeof(std::uint32_t)) {
      bars.push_back({.index = bar,
                      .size = region.size,
                      .is_prefetchable = (value & pci::kBarPrefetchable) != 0});
    }
    if (!is_io && (value & kBarType) == pci::kBarMemory64) {
      ++bar;  // the upper half of the address
    }
  }
  return bars;
}

Status with_memory_decode(PhysicalDevice& device, const std::function<Status()>& work) {
  const auto command = TRY(read_config<std::uint16_t>(device, pci::kCommand));
  Status opened = write_config(device, pci::kCommand,
                               static_cast<std::uint16_t>(command | pci::kCommandMemory));
  Status done = opened ? work() : std::move(opened);
  Status closed = write_config(device, pci::kCommand, command);
  return done ? std::move(closed) : std::move(done);
}

bool does_answer(PhysicalDevice& device, const MemoryBar& bar) {
  if (is_dword_alive(device, bar.index, 0)) {
    return true;
  }
  const std::uint64_t dwords = bar.size / sizeof(std::uint32_t);
  return bar.is_prefetchable &&
         (is_dword_alive(device, bar.index, dwords / 2 * sizeof(std::uint32_t)) ||
          is_dword_alive(device, bar.index, (dwords - 1) * sizeof(std::uint32_t)));
}

}  // namespace gpuvm
