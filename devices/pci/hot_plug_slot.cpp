// SPDX-License-Identifier: Apache-2.0
// HotPlugSlot: see hot_plug_slot.hpp.
#include "devices/pci/hot_plug_slot.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kSlotEvents = pci::kSlotStatusAttentionButton | pci::kSlotStatusPowerFault |
                                      pci::kSlotStatusPresenceChanged | pci::kSlotStatusLinkChanged;
/// Enables that have the bits of their events.
constexpr std::uint16_t kPlainEnables =
    pci::kSlotStatusAttentionButton | pci::kSlotStatusPowerFault | pci::kSlotStatusPresenceChanged;
constexpr std::uint16_t kSlotWritable =
    kPlainEnables | pci::kSlotControlInterrupt | pci::kSlotControlLinkChanged |
    pci::kSlotControlPowerOff | pci::kSlotIndicatorMask << pci::kSlotAttentionIndicatorShift |
    pci::kSlotIndicatorMask << pci::kSlotPowerIndicatorShift;

constexpr std::uint16_t control_at_power_on(bool is_present) {
  const auto coded = [](SlotIndicator indicator, unsigned shift) {
    return static_cast<std::uint32_t>(indicator) << shift;
  };
  const auto power = is_present ? SlotIndicator::kOn : SlotIndicator::kOff;
  return static_cast<std::uint16_t>(coded(SlotIndicator::kOff, pci::kSlotAttentionIndicatorShift) |
                                    coded(power, pci::kSlotPowerIndicatorShift) |
                                    (is_present ? 0U : std::uint32_t{pci::kSlotControlPowerOff}));
}

}  // namespace

std::string_view to_string(SlotIndicator indicator) {
  switch (indicator) {
    case SlotIndicator::kReserved:
      break;
    case SlotIndicator::kOn:
      return "on";
    case SlotIndicator::kBlink:
      return "blinks";
    case SlotIndicator::kOff:
      return "off";
  }
  return "reserved";
}

void HotPlugSlot::reset() {
  state_ = {.control = control_at_power_on(is_present_), .events = 0, .link_active = is_present_};
}

std::uint32_t HotPlugSlot::dword() const {
  const std::uint32_t status = state_.events | (is_present_ ? pci::kSlotStatusPresent : 0U);
  return state_.control | status << 16;
}

HotPlugSlot::Power HotPlugSlot::write(std::uint32_t value, std::uint32_t mask) {
  const bool was_powered = is_powered();
  const std::uint32_t changed = mask & kSlotWritable;
  state_.control = static_cast<std::uint16_t>((state_.control & ~changed) | (value & changed));
  const std::uint32_t cleared = (value & mask) >> 16 & kSlotEvents;
  state_.events = static_cast<std::uint16_t>(state_.events & ~cleared);
  if (was_powered == is_powered()) {
    return Power::kAsBefore;
  }
  return was_powered ? Power::kSwitchedOff : Power::kSwitchedOn;
}

void HotPlugSlot::insert() {
  if (!is_present_) {
    is_present_ = true;
    state_.events |= pci::kSlotStatusPresenceChanged;
    press_button();
  }
}

void HotPlugSlot::remove() {
  if (is_present_) {
    is_present_ = false;
    state_.events |= pci::kSlotStatusPresenceChanged;
  }
}

void HotPlugSlot::set_link_active(bool active) {
  if (state_.link_active != active) {
    state_.link_active = active;
    state_.events |= pci::kSlotStatusLinkChanged;
  }
}

bool HotPlugSlot::wants_interrupt() const {
  std::uint16_t enabled = state_.control & kPlainEnables;
  if ((state_.control & pci::kSlotControlLinkChanged) != 0) {
    enabled |= pci::kSlotStatusLinkChanged;
  }
  return (state_.control & pci::kSlotControlInterrupt) != 0 && (state_.events & enabled) != 0;
}

void HotPlugSlot::inspect(InspectNode& node) const {
  node.field("present", is_present_);
  node.field("powered", is_powered());
  node.field("link_active", state_.link_active);
  node.field("power_indicator", to_string(power_indicator()));
  node.field("attention_indicator", to_string(attention_indicator()));
  node.hex("control", state_.control);
  node.hex("events", state_.events);
}

}  // namespace gpuvm
