// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/flash_device.hpp"

#include <algorithm>

namespace gpuvm {

FlashDevice::FlashDevice(MappedRegion array, GuestAddress at, FlashStore& store, MemorySlots& slots)
    : array_(std::move(array)), at_(at), slots_(slots), chip_(array_.bytes(), store) {}

Result<std::unique_ptr<FlashDevice>> FlashDevice::create(std::span<const std::byte> contents,
                                                         GuestAddress at, FlashStore& store,
                                                         MemorySlots& slots) {
  auto array = TRY(MappedRegion::create({.size = contents.size()}));
  std::copy(contents.begin(), contents.end(), array.bytes().begin());
  std::unique_ptr<FlashDevice> flash(new FlashDevice(std::move(array), at, store, slots));
  {
    const MutexLock lock(flash->mutex_);
    TRY_CONTEXT(flash->show(), "Flash");
  }
  return flash;
}

FlashDevice::~FlashDevice() {
  if (slot_ != 0) {
    slots_.unmap(slot_);
  }
}

/// Makes the slot agree with what the chip shows.
Status FlashDevice::show() {
  if (chip_.shows_array() && slot_ == 0) {
    slot_ = TRY(slots_.map(at_, array_.bytes(), SlotAccess::kReadOnly));
  } else if (!chip_.shows_array() && slot_ != 0) {
    slots_.unmap(slot_);
    slot_ = 0;
  }
  return {};
}

IoStatus FlashDevice::read(std::uint64_t offset, std::span<std::byte> out) {
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<std::byte>(chip_.read(offset + i));
  }
  return IoStatus::kOk;
}

IoStatus FlashDevice::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (in.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  const MutexLock lock(mutex_);
  chip_.write(offset, std::to_integer<std::uint8_t>(in[0]));
  if (const auto shown = show(); !shown && limit_.allow()) {
    log::error("Flash: {}; the guest reads it with an exit each time", shown.error().to_string());
  }
  return IoStatus::kOk;
}

void FlashDevice::reset() {
  const MutexLock lock(mutex_);
  chip_.reset();
  if (const auto shown = show(); !shown) {
    log::error("Flash: {}", shown.error().to_string());
  }
}

void FlashDevice::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.hex("address", at_.value());
  chip_.inspect(node);
}

}  // namespace gpuvm
