// SPDX-License-Identifier: Apache-2.0
// MsixCapability, Msix: see the header.
#include "devices/passthrough/msix.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kEnable = 1U << 31;        // Message Control bit 15
constexpr std::uint32_t kFunctionMask = 1U << 30;  // Message Control bit 14
constexpr std::uint32_t kVectorMasked = 1;
constexpr std::uint64_t kEntrySize = 16;

bool overlap(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) {
  return a < b + b_size && b < a + a_size;
}

bool inside(std::uint64_t base, std::uint64_t size, std::uint64_t at, std::uint64_t length) {
  return at >= base && at - base < size && length <= size - (at - base);
}

}  // namespace

std::optional<MsixLayout> MsixLayout::parse(std::uint16_t offset, std::uint16_t control,
                                            std::uint32_t table, std::uint32_t pending) {
  MsixLayout layout{.offset = offset,
                    .vectors = (control & 0x7ffU) + 1,
                    .table_bar = table & 7,
                    .table_offset = table & ~7U,
                    .pending_bar = pending & 7,
                    .pending_offset = pending & ~7U};
  const bool clash = layout.table_bar == layout.pending_bar &&
                     overlap(layout.table_offset, layout.table_size(), layout.pending_offset,
                             layout.pending_size());
  if (layout.table_bar > 5 || layout.pending_bar > 5 || clash) {
    return std::nullopt;
  }
  return layout;
}

std::optional<RegionArea> MsixLayout::trapped_pages(unsigned bar) const {
  if (bar != table_bar) {
    return std::nullopt;
  }
  const auto begin = align_down(table_offset, kPageSize);
  const auto end = align_up(table_offset + table_size(), kPageSize);
  return RegionArea{.offset = begin, .size = end - begin};
}

std::uint32_t MsixCapability::read_header(std::uint32_t hardware) const {
  return (hardware & ~(kEnable | kFunctionMask)) | (state_.enabled ? kEnable : 0) |
         (state_.function_masked ? kFunctionMask : 0);
}

bool MsixCapability::write_header(std::uint32_t value, std::uint32_t mask) {
  const auto before = read_header(0);
  const auto after = (before & ~mask) | (value & mask);
  state_.enabled = (after & kEnable) != 0;
  state_.function_masked = (after & kFunctionMask) != 0;
  return read_header(0) != before;
}

void MsixCapability::read_table(std::uint64_t offset, std::span<std::byte> out) const {
  const auto bytes = std::as_bytes(std::span(state_.table));
  if (!inside(0, bytes.size(), offset, out.size())) {
    std::fill(out.begin(), out.end(), std::byte{0xff});
    return;
  }
  const auto source = bytes.subspan(offset, out.size());
  std::copy(source.begin(), source.end(), out.begin());
}

void MsixCapability::write_table(std::uint64_t offset, std::span<const std::byte> in) {
  static_assert(sizeof(Entry) == kEntrySize);
  const auto bytes = std::as_writable_bytes(std::span(state_.table));
  if (in.empty() || !inside(0, bytes.size(), offset, in.size())) {
    return;
  }
  std::copy(in.begin(), in.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
  for (auto i = offset / kEntrySize; i <= (offset + in.size() - 1) / kEntrySize; ++i) {
    state_.table[i].control &= kVectorMasked;
    state_.table[i].address_low &= ~3U;  // 6.1.4.2: dword aligned
  }
}

std::optional<MsiMessage> MsixCapability::message(std::uint32_t vector) const {
  if (!state_.enabled || state_.function_masked || vector >= state_.table.size()) {
    return std::nullopt;
  }
  const auto& entry = state_.table[vector];
  if ((entry.control & kVectorMasked) != 0) {
    return std::nullopt;
  }
  return MsiMessage{.address = std::uint64_t{entry.address_high} << 32 | entry.address_low,
                    .data = entry.data};
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
  const auto& layout = capability_.layout();
  return (bar == layout.table_bar &&
          overlap(layout.table_offset, layout.table_size(), offset, length)) ||
         (bar == layout.pending_bar &&
          overlap(layout.pending_offset, layout.pending_size(), offset, length));
}

IoStatus Msix::read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) const {
  const auto& layout = capability_.layout();
  if (bar == layout.table_bar &&
      inside(layout.table_offset, layout.table_size(), offset, out.size())) {
    capability_.read_table(offset - layout.table_offset, out);
    return IoStatus::kOk;
  }
  if (bar == layout.pending_bar &&
      inside(layout.pending_offset, layout.pending_size(), offset, out.size())) {
    read_pending(offset - layout.pending_offset, out);
    return IoStatus::kOk;
  }
  return IoStatus::kUnaligned;  // crosses the edge of a structure
}

IoStatus Msix::write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in) {
  const auto& layout = capability_.layout();
  if (bar == layout.table_bar &&
      inside(layout.table_offset, layout.table_size(), offset, in.size())) {
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
                 inside(layout.pending_offset, layout.pending_size(), offset, in.size())
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
  node.field("enabled", capability_.enabled());
  node.field("function masked", (capability_.read_header(0) & kFunctionMask) != 0);
  routes_.inspect(node);
}

}  // namespace gpuvm
