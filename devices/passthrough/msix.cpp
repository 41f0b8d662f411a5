// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/msix.hpp"

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kFunctionMask = 1U << 30;  // Message Control bit 14

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
  return capability_.read(bar, offset, out,
                          [this](std::uint32_t vector) { return routes_.pending(vector); });
}

IoStatus Msix::write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in) {
  return capability_.write(bar, offset, in, [this](std::uint32_t vector) {
    routes_.set(vector, capability_.message(vector));
  });
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
