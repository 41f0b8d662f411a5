// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msix_capability.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kEnable = 1U << 31;        // Message Control bit 15
constexpr std::uint32_t kFunctionMask = 1U << 30;  // Message Control bit 14
constexpr std::uint32_t kVectorMasked = 1;
constexpr std::uint64_t kEntrySize = 16;

bool overlap(std::uint64_t a, std::uint64_t a_size, std::uint64_t b, std::uint64_t b_size) {
  return a < b + b_size && b < a + a_size;
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

bool MsixLayout::touches(unsigned bar, std::uint64_t at, std::uint64_t length) const {
  return (bar == table_bar && overlap(table_offset, table_size(), at, length)) ||
         (bar == pending_bar && overlap(pending_offset, pending_size(), at, length));
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

bool MsixCapability::in_table(unsigned bar, std::uint64_t offset, std::size_t size) const {
  return bar == layout_.table_bar &&
         is_inside(layout_.table_offset, layout_.table_size(), offset, size);
}

bool MsixCapability::in_pending(unsigned bar, std::uint64_t offset, std::size_t size) const {
  return bar == layout_.pending_bar &&
         is_inside(layout_.pending_offset, layout_.pending_size(), offset, size);
}

IoStatus MsixCapability::read(unsigned bar, std::uint64_t offset, std::span<std::byte> out,
                              const std::function<bool(std::uint32_t vector)>& pending) const {
  if (in_table(bar, offset, out.size())) {
    read_table(offset - layout_.table_offset, out);
    return IoStatus::kOk;
  }
  if (!in_pending(bar, offset, out.size())) {
    return IoStatus::kUnaligned;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    unsigned bits = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      const auto vector = (offset - layout_.pending_offset + i) * 8 + bit;
      bits |= pending(static_cast<std::uint32_t>(vector)) ? 1U << bit : 0;
    }
    out[i] = static_cast<std::byte>(bits);
  }
  return IoStatus::kOk;
}

IoStatus MsixCapability::write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in,
                               const std::function<void(std::uint32_t vector)>& changed) {
  if (in_table(bar, offset, in.size())) {
    const auto at = offset - layout_.table_offset;
    write_table(at, in);
    for (auto i = at / kEntrySize; i <= (at + in.size() - 1) / kEntrySize; ++i) {
      changed(static_cast<std::uint32_t>(i));
    }
    return IoStatus::kOk;
  }
  // 7.7.2.6: software should never write the pending bits; ignored.
  return in_pending(bar, offset, in.size()) ? IoStatus::kOk : IoStatus::kUnaligned;
}

void MsixCapability::read_table(std::uint64_t offset, std::span<std::byte> out) const {
  const auto source = std::as_bytes(std::span(state_.table)).subspan(offset, out.size());
  std::copy(source.begin(), source.end(), out.begin());
}

void MsixCapability::write_table(std::uint64_t offset, std::span<const std::byte> in) {
  static_assert(sizeof(Entry) == kEntrySize);
  const auto bytes = std::as_writable_bytes(std::span(state_.table));
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

}  // namespace gpuvm
