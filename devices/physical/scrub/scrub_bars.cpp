// SPDX-License-Identifier: Apache-2.0
// Which BARs can be memory.
#include <algorithm>

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "devices/physical/memory_bars.hpp"
#include "devices/physical/scrub/memory_scrub.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

// Some devices have registers in a prefetchable BAR (virtio's, AMD's doorbells): these are smaller
// than any card's memory, or than the BAR beside them.
constexpr std::uint64_t kLeastMemory = 1_MiB;
// PCI Local Bus 3.0, 6.8.2.4 and 6.8.2.5: the lower bits of both are the BAR's number.
constexpr std::uint16_t kMsixTable = 4;
constexpr std::uint16_t kMsixPending = 8;
constexpr std::uint32_t kMsixBar = 7;

/// Bit n: BAR n holds the MSI-X table or its pending bits.
Result<unsigned> msix_bars(PhysicalDevice& device) {
  const auto status = TRY(read_config<std::uint16_t>(device, pci::kStatus));
  if ((status & pci::kStatusCapabilities) == 0) {
    return 0U;
  }
  std::uint16_t msix = 0;
  TRY(for_each_capability(config_dword_reader(device), [&](const CapabilityHeader& capability) {
    const bool is_it = capability.id == static_cast<std::uint16_t>(pci::CapabilityId::kMsix);
    msix = is_it ? capability.offset : msix;
    return !is_it;
  }));
  if (msix == 0) {
    return 0U;
  }
  const auto table = TRY(read_config<std::uint32_t>(device, msix + kMsixTable));
  const auto pending = TRY(read_config<std::uint32_t>(device, msix + kMsixPending));
  return 1U << (table & kMsixBar) | 1U << (pending & kMsixBar);
}

/// Of a BAR that is a file: a scrub that met its new end would end this process, with all functions
/// dirty.
Status check_size_is_kept(const PhysicalDevice& device, unsigned index) {
  if (!device.region(bar_region(index)).may_shrink) {
    return {};
  }
  return fail(ErrorKind::kConfig,
              "The server of {} can make the file of BAR {} shorter, so it cannot be overwritten: "
              "let it send a memfd with MFD_ALLOW_SEALING, or remove scrub = \"vram\"",
              device.name(), index);
}

/// Why it is not to be written to; empty: it may.
std::string obstacle_of(unsigned index, const std::vector<MemoryBar>& bars, unsigned msix) {
  const auto bar = std::find_if(bars.begin(), bars.end(),
                                [index](const MemoryBar& each) { return each.index == index; });
  if (bar == bars.end()) {
    return "is no memory BAR";
  }
  if (!bar->is_prefetchable) {
    return "is not prefetchable: it holds registers, which are never overwritten";
  }
  return (msix & 1U << index) != 0 ? "holds the MSI-X table, which is never overwritten" : "";
}

}  // namespace

Result<std::vector<unsigned>> bars_to_scrub(PhysicalDevice& device, const ScrubChoice& choice) {
  const auto bars = TRY(memory_bars(device));
  const unsigned msix = TRY(msix_bars(device));
  for (const unsigned index : choice.bars) {
    if (const auto obstacle = obstacle_of(index, bars, msix); !obstacle.empty()) {
      return fail(ErrorKind::kConfig,
                  "BAR {} of {} {}: correct scrub_bars, or leave it away for the largest one",
                  index, device.name(), obstacle);
    }
    TRY(check_size_is_kept(device, index));
  }
  if (!choice.bars.empty()) {
    return choice.bars;
  }
  const MemoryBar* largest = nullptr;
  for (const MemoryBar& bar : bars) {
    const bool may_be = bar.size >= kLeastMemory && obstacle_of(bar.index, bars, msix).empty();
    if (may_be && (largest == nullptr || bar.size > largest->size)) {
      largest = &bar;
    }
  }
  if (largest == nullptr) {
    return fail(ErrorKind::kConfig,
                "{} has no prefetchable memory BAR of 1 MiB or more, so nothing of its memory can "
                "be overwritten: remove scrub = \"vram\"",
                device.name());
  }
  TRY(check_size_is_kept(device, largest->index));
  return std::vector<unsigned>{largest->index};
}

}  // namespace gpuvm
