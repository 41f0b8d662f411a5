// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/coherent_memory.hpp"

#include "devices/passthrough/bar_mapping.hpp"
#include "devices/passthrough/specific_regions.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

namespace {

/// What the device has, for messages.
std::string regions_of(const PhysicalDevice& device) {
  std::string text;
  for (const auto index : device.specific_regions()) {
    text += (text.empty() ? "" : ", ") + to_string(*device.region(index).type);
  }
  return text.empty() ? "none" : text;
}

Result<RegionIndex> find_region(const PhysicalDevice& device,
                                const CoherentMemory::Source& source) {
  if (source.bar) {
    return bar_region(*source.bar);
  }
  for (const auto index : device.specific_regions()) {
    if (device.region(index).type == source.region) {
      return index;
    }
  }
  return fail(ErrorKind::kConfig,
              "{}: coherent_memory.{} names a region that the device does not have; it has {}",
              device.name(), source.to_string(), regions_of(device));
}

}  // namespace

std::string CoherentMemory::Source::to_string() const {
  return bar ? fmt::format("bar = {}", *bar)
             : fmt::format("region = {}", gpuvm::to_string(region.value_or(RegionType{})));
}

Result<std::unique_ptr<CoherentMemory>> CoherentMemory::create(PhysicalDevice& device,
                                                               const Source& source,
                                                               MemorySlots& slots) {
  const auto index = TRY(find_region(device, source));
  const auto& region = device.region(index);
  // Guests bring memory online in blocks that are far larger.
  const RegionArea area{.offset = 0, .size = align_down(region.size, 2_MiB)};
  if (area.size == 0) {
    return fail(ErrorKind::kConfig, "{}: coherent_memory.{} has {} bytes; name one that is memory",
                device.name(), source.to_string(), region.size);
  }
  if (!region.mappable || !region.writable || !region.sparse_areas.empty()) {
    return fail(ErrorKind::kConfig,
                "{}: coherent_memory.{} names what the host does not map as a whole", device.name(),
                source.to_string());
  }
  auto host = TRY_CONTEXT(device.map(index, area, BarLayout::alignment(region.size, area)),
                          "Coherent memory");
  return std::unique_ptr<CoherentMemory>(new CoherentMemory(std::move(host), source, slots));
}

Status CoherentMemory::show() {
  if (at_ && slot_ == 0) {
    slot_ = TRY_CONTEXT(slots_.map(*at_, host_.bytes(), SlotAccess::kReadWrite), "Coherent memory");
  }
  return {};
}

void CoherentMemory::hide() {
  if (slot_ != 0) {
    slots_.unmap(slot_);
    slot_ = 0;
  }
}

void CoherentMemory::inspect(InspectNode& node) const {
  node.field("source", source_.to_string());
  node.hex("size", size());
  node.hex("address", at_.value_or(GuestAddress(0)).value());
  node.field("shown", slot_ != 0);
}

}  // namespace gpuvm
