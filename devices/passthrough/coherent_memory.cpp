// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/coherent_memory.hpp"

#include "devices/passthrough/bar_mapping.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

Result<std::unique_ptr<CoherentMemory>> CoherentMemory::create(PhysicalDevice& device, unsigned bar,
                                                               MemorySlots& slots) {
  const auto& region = device.region(bar_region(bar));
  // Guests bring memory online in blocks that are far larger.
  const RegionArea area{.offset = 0, .size = align_down(region.size, 2_MiB)};
  if (area.size == 0) {
    return fail(ErrorKind::kConfig,
                "{}: coherent_memory.bar = {} names a BAR of {} bytes; give one with memory",
                device.name(), bar, region.size);
  }
  if (!region.mappable || !region.writable || !region.sparse_areas.empty()) {
    return fail(ErrorKind::kConfig,
                "{}: coherent_memory.bar = {} names a BAR that the host does not map as a whole",
                device.name(), bar);
  }
  auto host =
      TRY_CONTEXT(device.map(bar_region(bar), area, BarLayout::alignment(region.size, area)),
                  "Coherent memory");
  return std::unique_ptr<CoherentMemory>(new CoherentMemory(std::move(host), bar, slots));
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
  node.field("bar", std::uint64_t{bar_});
  node.hex("size", size());
  node.hex("address", at_.value_or(GuestAddress(0)).value());
  node.field("shown", slot_ != 0);
}

}  // namespace gpuvm
