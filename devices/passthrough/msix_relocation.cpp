// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/msix_relocation.hpp"

#include <algorithm>
#include <bit>

#include "devices/passthrough/bar_mapping.hpp"
#include "devices/passthrough/msix.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kLargest32 = 2_GiB;  ///< of a 32-bit BAR: one address bit is left
constexpr std::uint64_t kLargest64 = 4_GiB;  ///< so that offsets fit the capability's dwords
constexpr const char* kCure = "choose another BAR, \"auto\" or \"off\"";

bool is_wide(const std::optional<BarDescription>& bar) {
  return bar && bar->kind == BarKind::kMemory64;
}

bool is_upper_half(const MsixSurroundings& around, unsigned bar) {
  return bar != 0 && is_wide(around.bars.at(bar - 1));
}

/// Both structures, one behind the other.
std::uint64_t structures_size(const MsixLayout& layout) {
  return std::bit_ceil(std::max(layout.table_size() + layout.pending_size(), kPageSize));
}

/// Of a BAR that takes the structures: half of one that the hardware has, all of a new one.
std::uint64_t room_in(const MsixSurroundings& around, unsigned bar) {
  const auto needed = structures_size(*around.layout);
  const auto& description = around.bars.at(bar);
  return description ? std::max(description->size, needed) : needed;
}

/// Why the BAR cannot take the structures; empty: it can.
std::string flaw_of(const MsixSurroundings& around, unsigned bar) {
  const auto& description = around.bars.at(bar);
  const auto coherent = around.coherent_bar;
  if (is_upper_half(around, bar)) {
    return fmt::format("BAR {} is the upper half of the 64-bit BAR {}", bar, bar - 1);
  }
  if (coherent == bar) {
    return fmt::format("BAR {} is coherent_memory, which is no BAR for the guest", bar);
  }
  if (!description) {
    return {};
  }
  if (description->kind == BarKind::kIo) {
    return fmt::format("BAR {} has I/O ports, where a table cannot be", bar);
  }
  const auto largest = is_wide(description) ? kLargest64 : kLargest32;
  if (room_in(around, bar) > largest / 2) {
    return fmt::format("BAR {} of {:#x} bytes is too large to be doubled", bar, description->size);
  }
  return {};
}

/// Whether the table's pages hold anything that is neither table nor pending bits. What is there
/// nobody can know; a BAR without other pages is the structures' own.
bool shares_pages(const MsixSurroundings& around) {
  const auto& layout = *around.layout;
  const auto pages = *trapped_pages(layout, layout.table_bar);
  auto begin = pages.offset;
  auto end = pages.offset + pages.size;
  if (layout.pending_bar == layout.table_bar) {
    begin = std::min(begin, align_down(layout.pending_offset, kPageSize));
    end = std::max(end, align_up(layout.pending_offset + layout.pending_size(), kPageSize));
  }
  const bool is_own = begin == 0 && around.regions.at(layout.table_bar).size <= end;
  return !is_own && layout.table_size() != pages.size;
}

/// Whether the host lets us map the table's pages.
bool is_mappable(const MsixSurroundings& around) {
  const auto& layout = *around.layout;
  const auto& region = around.regions.at(layout.table_bar);
  const auto& bar = around.bars.at(layout.table_bar);
  if (!bar || (!region.msix_mappable && region.sparse_areas.empty())) {
    return false;
  }
  const auto pages = *trapped_pages(layout, layout.table_bar);
  const auto direct = BarLayout::plan(region, bar->size, std::nullopt).direct;
  auto reached = pages.offset;  // areas are sorted, and may touch each other
  for (const auto area : direct) {
    if (area.offset <= reached) {
      reached = std::max(reached, area.offset + area.size);
    }
  }
  return reached >= pages.offset + pages.size;
}

/// A number without a BAR, or else the smallest BAR that can be doubled.
std::optional<unsigned> choose_bar(const MsixSurroundings& around) {
  std::optional<unsigned> smallest;
  for (unsigned bar = 0; bar < around.bars.size(); ++bar) {
    if (!flaw_of(around, bar).empty()) {
      continue;
    }
    const auto& description = around.bars.at(bar);
    if (!description) {
      return bar;
    }
    if (!smallest || description->size < around.bars.at(*smallest)->size) {
      smallest = bar;
    }
  }
  return smallest;
}

MsixPlan stay(const MsixSurroundings& around, std::string reason) {
  return {.hardware = around.layout,
          .shown = around.layout,
          .home = {},
          .reason = std::move(reason),
          .effect = around.layout ? "none: the table stays where the hardware has it" : "none"};
}

MsixPlan move_to(const MsixSurroundings& around, unsigned bar, std::string reason) {
  const auto& old = around.bars.at(bar);
  const auto room = room_in(around, bar);
  MsixHome home{.bar = bar,
                .description = old.value_or(BarDescription{.kind = BarKind::kMemory32}),
                .is_new = !old};
  home.description.size = old ? 2 * room : room;
  auto shown = *around.layout;
  shown.table_bar = bar;
  shown.table_offset = old ? room : 0;
  shown.pending_bar = bar;
  shown.pending_offset = shown.table_offset + shown.table_size();
  const auto pages = *trapped_pages(*around.layout, around.layout->table_bar);
  auto effect = fmt::format(
      "{:#x} bytes of BAR {} at {:#x} without exits; the guest sees the table in {}, {} of {:#x} "
      "bytes",
      pages.size, around.layout->table_bar, pages.offset, place_of_table(shown),
      old ? "which grows to a size" : "a new BAR", home.description.size);
  return {.hardware = around.layout,
          .shown = shown,
          .home = home,
          .reason = std::move(reason),
          .effect = std::move(effect)};
}

constexpr const char* kUnmappable =
    "the host does not let gpuvm map the table's pages (VFIO_REGION_INFO_CAP_MSIX_MAPPABLE)";

MsixPlan plan_by_itself(const MsixSurroundings& around) {
  const auto& layout = around.layout;
  if (!layout) {
    return stay(around, "the function has no MSI-X");
  }
  if (around.coherent_bar == layout->table_bar) {
    return stay(around, "the table is in coherent_memory");
  }
  if (!shares_pages(around)) {
    return stay(around, "nothing else is in the table's pages");
  }
  if (!is_mappable(around)) {
    return stay(around, kUnmappable);
  }
  const auto bar = choose_bar(around);
  return bar ? move_to(around, *bar, "other registers may share the table's pages")
             : stay(around, "no BAR is free or can be doubled");
}

Result<MsixPlan> plan_as_asked(unsigned bar, const MsixSurroundings& around) {
  if (!around.layout) {
    return fail(ErrorKind::kConfig, "The function has no MSI-X; leave the key out");
  }
  if (bar >= around.bars.size()) {
    return fail(ErrorKind::kConfig, "There is no BAR {}; {}", bar, kCure);
  }
  if (const auto flaw = flaw_of(around, bar); !flaw.empty()) {
    return fail(ErrorKind::kConfig, "{}; {}", flaw, kCure);
  }
  if (around.coherent_bar == around.layout->table_bar) {
    return fail(ErrorKind::kConfig, "The table is in coherent_memory; leave the key out");
  }
  if (!is_mappable(around)) {
    return fail(ErrorKind::kConfig, "Of no use: {}; leave the key out", kUnmappable);
  }
  return move_to(around, bar, "the configuration asks for it");
}

}  // namespace

std::string place_of_table(const MsixLayout& layout) {
  return fmt::format("BAR {} at {:#x}", layout.table_bar, layout.table_offset);
}

Result<MsixPlan> plan_msix(const MsixRelocation& wanted, const MsixSurroundings& around) {
  switch (wanted.mode) {
    case MsixRelocation::Mode::kOff:
      break;
    case MsixRelocation::Mode::kAuto:
      return plan_by_itself(around);
    case MsixRelocation::Mode::kBar:
      return plan_as_asked(wanted.bar, around);
  }
  return stay(around, "the configuration does not ask for it");
}

void MsixPlan::inspect(InspectNode& node) const {
  node.field("on", home.has_value());
  node.field("reason", reason);
  node.field("effect", effect);
  if (hardware && shown) {
    node.field("hardware_table", place_of_table(*hardware));
    node.field("guest_table", place_of_table(*shown));
  }
}

}  // namespace gpuvm
