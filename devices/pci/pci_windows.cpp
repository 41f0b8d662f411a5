// SPDX-License-Identifier: Apache-2.0
// Placing of BARs: see pci_windows.hpp.
#include "devices/pci/pci_windows.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

enum class Space : std::size_t { kIo, kMemory32, kMemory64 };
constexpr std::array<Space, 3> kSpaces = {Space::kIo, Space::kMemory32, Space::kMemory64};

struct SpaceTraits {
  std::string_view name;
  std::string_view cure;
  std::uint64_t window_granularity;  ///< of a bridge's window
  /// Memory BARs get a page of their own, so that each can be mapped without an exit.
  std::uint64_t least_alignment;
};

const SpaceTraits& traits(Space space) {
  static constexpr std::array<SpaceTraits, 3> kTraits = {{
      {"I/O", "pass fewer devices with I/O BARs", pci::kIoWindowGranularity, pci::kMinIoBar},
      {"32-bit", "lower the end of RAM below 4 GiB or pass fewer devices",
       pci::kMemoryWindowGranularity, kPageSize},
      {"64-bit", "give the guest more physical address bits or pass fewer devices",
       pci::kMemoryWindowGranularity, kPageSize},
  }};
  return kTraits[static_cast<std::size_t>(space)];
}

Space space_of(const BarDescription& bar) {
  if (bar.kind == BarKind::kIo) {
    return Space::kIo;
  }
  const bool wide = bar.kind == BarKind::kMemory64 && bar.prefetchable;
  return wide ? Space::kMemory64 : Space::kMemory32;
}

std::uint64_t footprint(const BarDescription& bar) {
  return std::max(bar.size, traits(space_of(bar)).least_alignment);
}

/// The BARs of one port in one space, packed from an origin that is aligned to `alignment`.
struct Block {
  std::size_t port = 0;
  std::vector<std::size_t> bars;  ///< indices into PortRequest::bars, largest first
  std::uint64_t size = 0;         ///< saturates
  std::uint64_t alignment = 1;
};

std::uint64_t add_saturated(std::uint64_t a, std::uint64_t b) {
  constexpr auto kMost = std::numeric_limits<std::uint64_t>::max();
  return b > kMost - a ? kMost : a + b;
}

Block make_block(const PortRequest& port, std::size_t number, Space space) {
  Block block{.port = number, .bars = {}};
  for (std::size_t i = 0; i < port.bars.size(); ++i) {
    const auto& bar = port.bars[i].description;
    if (space_of(bar) == space) {
      block.bars.push_back(i);
      block.size = add_saturated(block.size, footprint(bar));
      block.alignment = std::max(block.alignment, footprint(bar));
    }
  }
  std::stable_sort(block.bars.begin(), block.bars.end(), [&](std::size_t a, std::size_t b) {
    return port.bars[a].description.size > port.bars[b].description.size;
  });
  if (port.bridge && !block.bars.empty()) {
    const std::uint64_t granularity = traits(space).window_granularity;
    block.alignment = std::max(block.alignment, granularity);
    block.size = align_down(add_saturated(block.size, granularity - 1), granularity);
  }
  return block;
}

/// Blocks that are not empty, those with the strictest alignment first.
std::vector<Block> make_blocks(std::span<const PortRequest> ports, Space space) {
  std::vector<Block> blocks;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    Block block = make_block(ports[i], i, space);
    if (!block.bars.empty()) {
      blocks.push_back(std::move(block));
    }
  }
  std::stable_sort(blocks.begin(), blocks.end(),
                   [](const Block& a, const Block& b) { return a.alignment > b.alignment; });
  return blocks;
}

struct Extent {
  std::uint64_t base = 0;
  std::uint64_t size = 0;
};

std::optional<Extent> extent_of(const PciApertures& apertures, Space space) {
  const auto convert = [](const auto& range) {
    return range ? std::optional(Extent{range->base().value(), range->size()}) : std::nullopt;
  };
  switch (space) {
    case Space::kIo:
      return convert(apertures.io);
    case Space::kMemory32:
      return convert(apertures.memory32);
    case Space::kMemory64:
      return convert(apertures.memory64);
  }
  return std::nullopt;
}

Error does_not_fit(const PortRequest& port, const Block& block, Space space) {
  const BarRequest& largest = port.bars[block.bars.front()];
  return fail(ErrorKind::kConfig,
              "No room in the {} PCI window for {} of {} ({:#x} bytes) behind {}: {}",
              traits(space).name, bar_name(largest.bar), largest.function, largest.description.size,
              port.name, traits(space).cure);
}

void set_window(PortPlacement& placement, Space space, Extent extent) {
  switch (space) {
    case Space::kIo:
      placement.io = PortRange::create(IoPort(extent.base), extent.size);
      break;
    case Space::kMemory32:
      placement.memory = GuestRange::create(GuestAddress(extent.base), extent.size);
      break;
    case Space::kMemory64:
      placement.prefetchable = GuestRange::create(GuestAddress(extent.base), extent.size);
      break;
  }
}

/// Takes an aligned piece off the front of what is free. 0 is no address for a BAR (bar_set.hpp).
std::optional<std::uint64_t> take(Extent& free, std::uint64_t size, std::uint64_t alignment) {
  if (free.base > std::numeric_limits<std::uint64_t>::max() - (alignment - 1)) {
    return std::nullopt;
  }
  const std::uint64_t at = std::max(align_up(free.base, alignment), free.base == 0 ? alignment : 0);
  const std::uint64_t gap = at - free.base;
  if (gap > free.size || size > free.size - gap) {
    return std::nullopt;
  }
  free = {at + size, free.size - gap - size};
  return at;
}

Status place_space(Space space, const PciApertures& apertures, std::span<const PortRequest> ports,
                   std::vector<PortPlacement>& placements) {
  Extent free = extent_of(apertures, space).value_or(Extent{});
  for (const Block& block : make_blocks(ports, space)) {
    const PortRequest& port = ports[block.port];
    const auto base = take(free, block.size, block.alignment);
    if (!base && space == Space::kIo && port.bridge) {
      log::info("I/O ports of the devices behind {} have no place: drivers of today need none",
                port.name);
      continue;
    }
    if (!base) {
      return does_not_fit(port, block, space);
    }
    PortPlacement& placement = placements[block.port];
    std::uint64_t next = *base;
    for (const std::size_t bar : block.bars) {
      placement.addresses[bar] = next;
      next += footprint(port.bars[bar].description);
    }
    if (port.bridge) {
      set_window(placement, space, {*base, block.size});
    }
  }
  return {};
}

}  // namespace

void append_requests(const BarSet& set, const std::string& function,
                     std::vector<BarRequest>& bars) {
  for (unsigned bar = 0; bar < BarSet::kCount; ++bar) {
    if (const auto& description = set.description(bar)) {
      bars.push_back({function, bar, *description});
    }
  }
}

std::uint64_t memory64_wanted(std::span<const PortRequest> ports) {
  std::uint64_t end = 0;
  for (const Block& block : make_blocks(ports, Space::kMemory64)) {
    // Strictest alignment first: each next block is aligned to less, so this is the packed end.
    const std::uint64_t padded = add_saturated(end, block.alignment - 1);
    end = add_saturated(align_down(padded, block.alignment), block.size);
  }
  return add_saturated(end, end);
}

Result<std::vector<PortPlacement>> place_bars(const PciApertures& apertures,
                                              std::span<const PortRequest> ports) {
  std::vector<PortPlacement> placements(ports.size());
  for (std::size_t i = 0; i < ports.size(); ++i) {
    placements[i].addresses.resize(ports[i].bars.size());
  }
  for (const Space space : kSpaces) {
    TRY(place_space(space, apertures, ports, placements));
  }
  return placements;
}

}  // namespace gpuvm
