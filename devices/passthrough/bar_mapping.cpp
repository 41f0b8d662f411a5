// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/bar_mapping.hpp"

#include <algorithm>
#include <bit>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

std::uint64_t end_of(RegionArea area) {
  return area.offset + area.size;
}

void append(std::vector<RegionArea>& out, std::uint64_t begin, std::uint64_t end) {
  if (begin < end) {
    out.push_back(RegionArea{.offset = begin, .size = end - begin});
  }
}

/// The parts of `areas` outside `hole`.
std::vector<RegionArea> without(const std::vector<RegionArea>& areas,
                                std::optional<RegionArea> hole) {
  if (!hole) {
    return areas;
  }
  std::vector<RegionArea> out;
  for (const auto area : areas) {
    append(out, area.offset, std::min(end_of(area), hole->offset));
    append(out, std::max(area.offset, end_of(*hole)), end_of(area));
  }
  return out;
}

/// Whole pages that the host lets us map, sorted and without overlap. A guest reads and writes its
/// memory slots: what a server lets be mapped for one of both only is trapped, where an access that
/// is not allowed is dropped instead of ending the guest (KVM_RUN answers EFAULT).
std::vector<RegionArea> mappable_areas(const RegionInfo& region, std::uint64_t bar_size) {
  if (!region.mappable || !region.readable || !region.writable) {
    return {};
  }
  auto areas = region.sparse_areas;
  if (areas.empty()) {
    areas.push_back(RegionArea{.offset = 0, .size = region.size});
  }
  std::sort(areas.begin(), areas.end(),
            [](RegionArea a, RegionArea b) { return a.offset < b.offset; });
  const auto limit = align_down(std::min(region.size, bar_size), kPageSize);
  std::vector<RegionArea> out;
  std::uint64_t reached = 0;
  for (const auto area : areas) {
    if (area.offset >= limit) {
      break;
    }
    const auto end = area.size > limit - area.offset ? limit : end_of(area);
    const auto begin = std::max(reached, align_up(area.offset, kPageSize));
    append(out, begin, align_down(end, kPageSize));
    reached = std::max(reached, align_down(end, kPageSize));
  }
  return out;
}

}  // namespace

BarLayout BarLayout::plan(const RegionInfo& region, std::uint64_t bar_size,
                          std::optional<RegionArea> trapped_area,
                          const std::vector<RegionArea>& trapped_too) {
  BarLayout layout;
  const auto mappable = mappable_areas(region, bar_size);
  layout.direct = without(mappable, trapped_area);
  // One mapping over the table's page keeps the alignment of all behind it.
  layout.host_areas = region.msix_mappable ? mappable : layout.direct;
  for (const auto& area : trapped_too) {
    layout.direct = without(layout.direct, area);
  }
  std::uint64_t reached = 0;
  for (const auto area : layout.direct) {
    append(layout.trapped, reached, area.offset);
    reached = end_of(area);
  }
  append(layout.trapped, reached, bar_size);
  return layout;
}

std::uint64_t BarLayout::alignment(std::uint64_t region_size, RegionArea area) {
  const auto largest = std::clamp(std::bit_ceil(region_size), kPageSize, 1_GiB);
  if (area.offset == 0) {
    return largest;
  }
  return std::min(largest, std::uint64_t{1} << std::countr_zero(area.offset));
}

BarMapping::BarMapping(const Options& options)
    : options_(options),
      trap_(options.device, bar_region(options.bar), options.overlay),
      peers_(options.peers, std::string(trap_.name())) {
  const auto& region = options.device.region(bar_region(options.bar));
  if (options.kind == BarSpaceKind::kMemory) {
    layout_ = BarLayout::plan(region, options.size, options.trapped_area, options.trapped_too);
  } else {
    layout_.trapped.push_back(RegionArea{.offset = 0, .size = options.size});
  }
}

Result<std::unique_ptr<BarMapping>> BarMapping::create(const Options& options) {
  std::unique_ptr<BarMapping> mapping(new BarMapping(options));
  TRY_CONTEXT(mapping->map_host(), fmt::format("Mapping {}", mapping->name()));
  return mapping;
}

Status BarMapping::map_host() {
  const auto index = bar_region(options_.bar);
  const auto region_size = options_.device.region(index).size;
  auto direct = layout_.direct.begin();
  for (const auto area : layout_.host_areas) {
    host_.push_back(TRY(options_.device.map(index, area, BarLayout::alignment(region_size, area))));
    const auto bytes = host_.back().bytes();
    if (bytes.size() < area.size) {
      return fail(ErrorKind::kHost, "The host mapped {:#x} bytes in place of {:#x}", bytes.size(),
                  area.size);
    }
    for (; direct != layout_.direct.end() && end_of(*direct) <= end_of(area); ++direct) {
      direct_.push_back(Direct{.offset = direct->offset,
                               .host = bytes.subspan(direct->offset - area.offset, direct->size)});
    }
  }
  return {};
}

Status BarMapping::map(std::uint64_t at) {
  TRY(options_.kind == BarSpaceKind::kIo ? map_io(at) : map_memory(at));
  at_ = at;
  if (options_.listener != nullptr) {
    options_.listener->bar_moved(at);
  }
  return {};
}

Status BarMapping::map_io(std::uint64_t at) {
  const auto range = PortRange::create(IoPort(at), options_.size);
  if (!range) {
    return fail(ErrorKind::kInternal, "I/O BAR of {:#x} bytes at {:#x}", options_.size, at);
  }
  return options_.bus.ports.add(
      IoMapping<IoPort>{.range = *range, .handler = &trap_, .handler_offset = 0});
}

Status BarMapping::map_memory(std::uint64_t at) {
  std::vector<IoMapping<GuestAddress>> mappings;
  for (const auto area : layout_.trapped) {
    const auto range = GuestRange::create(GuestAddress(at) + area.offset, area.size);
    if (!range) {
      return fail(ErrorKind::kInternal, "BAR of {:#x} bytes at {:#x}", options_.size, at);
    }
    mappings.push_back({.range = *range, .handler = &trap_, .handler_offset = area.offset});
  }
  TRY(options_.bus.mmio.replace({}, mappings));
  auto status = map_slots(at);
  if (!status) {
    at_ = at;
    unmap();
  }
  return status;
}

Status BarMapping::map_slots(std::uint64_t at) {
  for (const auto& direct : direct_) {
    slots_.push_back(TRY(options_.bus.slots.map(GuestAddress(at) + direct.offset, direct.host,
                                                SlotAccess::kReadWrite)));
  }
  for (const auto& direct : direct_) {
    peers_.add(at + direct.offset, direct.host);
  }
  return {};
}

void BarMapping::unmap() {
  if (!at_) {
    return;
  }
  if (options_.listener != nullptr) {
    options_.listener->bar_moved(std::nullopt);
  }
  peers_.clear();
  for (const auto slot : slots_) {
    options_.bus.slots.unmap(slot);
  }
  slots_.clear();
  if (options_.kind == BarSpaceKind::kIo) {
    const IoPort base(*at_);
    static_cast<void>(options_.bus.ports.replace({&base, 1}, {}));
  } else {
    std::vector<GuestAddress> bases;
    for (const auto area : layout_.trapped) {
      bases.push_back(GuestAddress(*at_) + area.offset);
    }
    // Removing cannot fail: nothing is inserted.
    static_cast<void>(options_.bus.mmio.replace(bases, {}));
  }
  at_.reset();
}

void BarMapping::inspect(InspectNode& node) const {
  node.field("kind", kind() == BarSpaceKind::kIo ? "I/O" : "memory");
  node.hex("size", options_.size);
  std::uint64_t direct_bytes = 0;
  for (const auto& direct : direct_) {
    direct_bytes += direct.host.size();
  }
  node.hex("without_exits", direct_bytes);
  peers_.inspect(node);
  for (const auto area : layout_.trapped) {
    node.child("trapped").hex(fmt::format("{:#x}", area.offset), area.size);
  }
  trap_.inspect(node);
}

}  // namespace gpuvm
