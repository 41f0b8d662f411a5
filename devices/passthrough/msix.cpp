// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/msix.hpp"

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kFunctionMask = 1U << 30;  // Message Control bit 14
constexpr std::uint64_t kEntrySize = 16;

}  // namespace

std::optional<RegionArea> trapped_pages(const MsixLayout& layout, unsigned bar) {
  if (bar != layout.table_bar) {
    return std::nullopt;
  }
  const auto begin = align_down(layout.table_offset, kPageSize);
  const auto end = align_up(layout.table_offset + layout.table_size(), kPageSize);
  return RegionArea{.offset = begin, .size = end - begin};
}

Status Msix::enable() {
  TRY(routes_.enable(capability_.layout().vectors));
  refresh();
  return {};
}

void Msix::refresh() {
  for (std::uint32_t vector = 0; vector < capability_.layout().vectors; ++vector) {
    routes_.set(vector, capability_.message(vector));
  }
}

bool Msix::touches(unsigned bar, std::uint64_t offset, std::uint64_t length) const {
  return capability_.layout().touches(bar, offset, length);
}

IoStatus Msix::read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) const {
  const auto& layout = capability_.layout();
  if (bar == layout.table_bar &&
      is_inside(layout.table_offset, layout.table_size(), offset, out.size())) {
    capability_.read_table(offset - layout.table_offset, out);
    return IoStatus::kOk;
  }
  if (bar == layout.pending_bar &&
      is_inside(layout.pending_offset, layout.pending_size(), offset, out.size())) {
    read_pending(offset - layout.pending_offset, out);
    return IoStatus::kOk;
  }
  return IoStatus::kUnaligned;  // crosses the edge of a structure
}

IoStatus Msix::write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in) {
  const auto& layout = capability_.layout();
  if (bar == layout.table_bar &&
      is_inside(layout.table_offset, layout.table_size(), offset, in.size())) {
    const auto at = offset - layout.table_offset;
    capability_.write_table(at, in);
    for (auto i = at / kEntrySize; i <= (at + in.size() - 1) / kEntrySize; ++i) {
      const auto vector = static_cast<std::uint32_t>(i);
      routes_.set(vector, capability_.message(vector));
    }
    return IoStatus::kOk;
  }
  // 7.7.2.6: software should never write the pending bits; ignored.
  return bar == layout.pending_bar &&
                 is_inside(layout.pending_offset, layout.pending_size(), offset, in.size())
             ? IoStatus::kOk
             : IoStatus::kUnaligned;
}

void Msix::read_pending(std::uint64_t offset, std::span<std::byte> out) const {
  for (std::size_t i = 0; i < out.size(); ++i) {
    unsigned bits = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      const auto vector = static_cast<std::uint32_t>((offset + i) * 8 + bit);
      bits |= routes_.pending(vector) ? 1U << bit : 0;
    }
    out[i] = static_cast<std::byte>(bits);
  }
}

void Msix::inspect(InspectNode& node) const {
  const auto& layout = capability_.layout();
  node.field("table", fmt::format("{} entries in BAR {} at {:#x}", layout.vectors, layout.table_bar,
                                  layout.table_offset));
  if (moved_from_) {
    node.field("hardware_table",
               fmt::format("BAR {} at {:#x}", moved_from_->table_bar, moved_from_->table_offset));
  }
  node.field("enabled", capability_.enabled());
  node.field("function_masked", (capability_.read_header(0) & kFunctionMask) != 0);
  routes_.inspect(node);
}

}  // namespace gpuvm
