// SPDX-License-Identifier: Apache-2.0
// RootPort: its hot-plug slot: how HotPlugSlot's registers become the port's, and when the guest is
// interrupted. See root_port.hpp.
#include <limits>

#include "devices/pci/root_port.hpp"

namespace gpuvm {
namespace {

// QEMU, docs/pcie_pci_bridge.txt: a vendor-specific capability (7.9.4) with the type in the byte
// behind the length. All ones: no wish; 0: nothing needs to be reserved.
constexpr std::uint16_t kReservationSize = 0x20;
constexpr std::uint32_t kReservationHeader = kReservationSize | 1U << 8;  ///< length, type
constexpr std::uint16_t kReservedBuses = 0x04;
constexpr std::uint16_t kReservedIo = 0x08;          ///< 8 bytes
constexpr std::uint16_t kReservedMemory32 = 0x10;    ///< not prefetchable
constexpr std::uint16_t kReservedPrefetch32 = 0x14;  ///< either this one or the next
constexpr std::uint16_t kReservedPrefetch64 = 0x18;  ///< 8 bytes

}  // namespace

Status RootPort::define_hot_plug() {
  const HotPlugConfig& wanted = *config_.hot_plug;
  if (wanted.memory32 > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorKind::kInternal, "A reservation of {:#x} bytes below 4 GiB", wanted.memory32);
  }
  slot_.emplace();
  msi_.emplace(TRY(PortMsi::create(wanted.msi)));
  TRY(msi_->add_to(space_));
  const std::uint16_t capability =
      TRY(space_.add_capability(pci::CapabilityId::kVendorSpecific, kReservationSize));
  const auto define = [this, capability](std::uint16_t offset, std::uint32_t value) {
    mutex_.assert_held();
    space_.define(
        {.offset = static_cast<std::uint16_t>(capability + offset), .reset_value = value});
  };
  space_.define({.offset = static_cast<std::uint16_t>(capability + 2),
                 .size = 2,
                 .reset_value = kReservationHeader});
  define(kReservedBuses, 0);
  define(kReservedIo, 0);
  define(kReservedIo + 4, 0);
  define(kReservedMemory32, static_cast<std::uint32_t>(wanted.memory32));
  define(kReservedPrefetch32, pci::kAllOnes);
  define(kReservedPrefetch64, static_cast<std::uint32_t>(wanted.memory64));
  define(kReservedPrefetch64 + 4, static_cast<std::uint32_t>(wanted.memory64 >> 32));
  return {};
}

/// What a guest's write does to the slot, if it is there.
HotPlugSlot::Power RootPort::write_slot(std::uint16_t offset, std::uint32_t value,
                                        std::uint32_t mask) {
  const bool is_slot = slot_ && offset / 4 * 4 == express_ + pci::kExpressSlotControl;
  return is_slot ? slot_->write(value, mask) : HotPlugSlot::Power::kAsBefore;
}

/// Registers as the slot has them, and an interrupt where it has come to want one (6.7.3.4).
void RootPort::publish_slot(bool link_active) {
  if (!slot_) {
    return;
  }
  slot_->set_link_active(link_active);
  space_.set(static_cast<std::uint16_t>(express_ + pci::kExpressSlotControl), slot_->dword(),
             pci::kAllOnes);
  if (const auto followed = msi_->follow(space_); !followed && limit_.allow()) {
    log::warn("{}: The interrupt of its slot: {}", config_.name, followed.error().to_string());
  }
  const bool wants = slot_->wants_interrupt() && msi_->is_enabled(space_);
  if (wants && !wants_interrupt_) {
    msi_->send();
  }
  wants_interrupt_ = wants;
}

void RootPort::change_slot(const std::function<void(HotPlugSlot&)>& change) {
  const MutexLock lock(mutex_);
  if (slot_) {
    change(*slot_);
    present_ = slot_->is_present();
    define_presence();
    publish();
  }
}

void RootPort::insert(const PortCard& card) {
  change_slot([this, &card](HotPlugSlot& slot) {
    mutex_.assert_held();
    card_ = card;
    define_card();
    slot.insert();
  });
}

void RootPort::remove() {
  change_slot([](HotPlugSlot& slot) { slot.remove(); });
}

void RootPort::press_attention_button() {
  change_slot([](HotPlugSlot& slot) { slot.press_button(); });
}

HotPlugSlot RootPort::slot() const {
  const MutexLock lock(mutex_);
  return slot_.value_or(HotPlugSlot());
}

void RootPort::quiesce() {
  const MutexLock lock(mutex_);
  if (msi_) {
    msi_->stop();
  }
}

}  // namespace gpuvm
