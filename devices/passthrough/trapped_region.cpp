// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/trapped_region.hpp"

#include <algorithm>
#include <bit>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kShownOffsets = 8;

}  // namespace

TrappedRegion::TrappedRegion(PhysicalDevice& device, RegionIndex index, BarOverlay* overlay)
    : device_(device),
      index_(index),
      overlay_(overlay),
      name_(fmt::format("{} BAR {}", device.name(), static_cast<std::uint32_t>(index))),
      size_(device.region(index).size) {}

std::size_t TrappedRegion::piece_size(std::uint64_t offset, std::size_t left) {
  const std::size_t largest = std::bit_floor(std::min<std::size_t>(left, 8));
  const auto aligned =
      offset == 0 ? largest : std::size_t{1} << std::min(std::countr_zero(offset), 3);
  return std::min(largest, aligned);
}

IoStatus TrappedRegion::fail_access(const Error& error) {
  errors_.fetch_add(1, std::memory_order_relaxed);
  if (limit_.allow()) {
    log::warn("{}: {}", name_, error.to_string());
  }
  return IoStatus::kNoResponse;
}

IoStatus TrappedRegion::read(std::uint64_t offset, std::span<std::byte> out) {
  hot_offsets_.note_read(offset);
  if (overlay_ != nullptr && overlay_->touches(offset, out.size())) {
    return overlay_->overlay_read(offset, out);
  }
  if (!is_inside(0, size_, offset, out.size())) {
    return IoStatus::kInvalidRegister;  // a BAR is a power of two, the region behind it may be less
  }
  while (!out.empty()) {
    const auto size = piece_size(offset, out.size());
    if (auto status = device_.read(index_, offset, out.first(size)); !status) {
      return fail_access(status.error());
    }
    out = out.subspan(size);
    offset += size;
  }
  return IoStatus::kOk;
}

IoStatus TrappedRegion::write(std::uint64_t offset, std::span<const std::byte> in) {
  hot_offsets_.note_write(offset);
  if (overlay_ != nullptr && overlay_->touches(offset, in.size())) {
    return overlay_->overlay_write(offset, in);
  }
  if (!is_inside(0, size_, offset, in.size())) {
    return IoStatus::kInvalidRegister;
  }
  while (!in.empty()) {
    const auto size = piece_size(offset, in.size());
    if (auto status = device_.write(index_, offset, in.first(size)); !status) {
      return fail_access(status.error());
    }
    in = in.subspan(size);
    offset += size;
  }
  return IoStatus::kOk;
}

void TrappedRegion::inspect(InspectNode& node) const {
  node.field("trapped_accesses", hot_offsets_.total());
  node.field("errors", errors_.load(std::memory_order_relaxed));
  for (const auto& hit : hot_offsets_.top(kShownOffsets)) {
    auto& child = node.child("top_offenders").child(fmt::format("{:#x}", hit.offset));
    child.field("reads", hit.reads);
    child.field("writes", hit.writes);
    child.field("uncertain", hit.error);
  }
}

}  // namespace gpuvm
