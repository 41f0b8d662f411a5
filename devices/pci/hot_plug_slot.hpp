// SPDX-License-Identifier: Apache-2.0
// HotPlugSlot: the registers of a slot into which cards come and from which they go while the
// system runs (PCI Express Base 6.0, 6.7 and 7.5.3.9 to 7.5.3.11): presence, attention button,
// power controller, two indicators, and when the port sends its interrupt. Pure: no lock, no
// interrupt, no card; RootPort has those.
//
// A write is carried out at once, so that the slot has no Command Completed event and says so
// (7.5.3.9, No Command Completed Support).
//
// Missing: MRL sensor, electromechanical interlock, slot power limit, power faults, in-band
// presence detect disable.
#pragma once

#include <cstdint>
#include <string_view>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/inspect.hpp"

namespace gpuvm {

/// As Slot Control codes it (7.5.3.10).
enum class SlotIndicator : std::uint8_t { kReserved = 0, kOn = 1, kBlink = 2, kOff = 3 };
std::string_view to_string(SlotIndicator indicator);

/// Not synchronised: its owner holds a lock.
class HotPlugSlot {
 public:
  /// Of Slot Capabilities, beside the slot's number. A card may be taken without asking, by who no
  /// longer waits for an answer: Hot-Plug Surprise.
  static constexpr std::uint32_t kCapabilities =
      pci::kSlotAttentionButton | pci::kSlotPowerController | pci::kSlotAttentionIndicator |
      pci::kSlotPowerIndicator | pci::kSlotSurprise | pci::kSlotHotPlugCapable |
      pci::kSlotNoCommandCompleted;

  /// What a write has done to the power.
  enum class Power { kAsBefore, kSwitchedOn, kSwitchedOff };

  HotPlugSlot() { reset(); }

  /// Slot Control, with Slot Status above it.
  std::uint32_t dword() const;
  /// Of that dword: `mask` has the byte lanes that are written.
  Power write(std::uint32_t value, std::uint32_t mask);

  /// A card comes: the button is pressed with it, as systems with a button take no notice of the
  /// card alone (Linux, drivers/pci/hotplug/pciehp_hpc.c, pcie_enable_notification()).
  void insert();
  /// It goes, whether the slot has power or not.
  void remove();
  /// "May the card go?"; pressed again within 5 s: "it may stay" (6.7.1.5).
  void press_button() { state_.events |= pci::kSlotStatusAttentionButton; }
  /// Data Link Layer Link Active; a change is an event.
  void set_link_active(bool active);

  bool is_present() const { return is_present_; }
  bool is_powered() const { return (state_.control & pci::kSlotControlPowerOff) == 0; }
  SlotIndicator attention_indicator() const { return indicator(pci::kSlotAttentionIndicatorShift); }
  SlotIndicator power_indicator() const { return indicator(pci::kSlotPowerIndicatorShift); }
  /// An event that is enabled has not been cleared yet. The port's message is sent whenever this
  /// becomes true (6.7.3.4).
  bool wants_interrupt() const;

  /// Back to power-on state. The card stays, and has power; an empty slot has none.
  void reset();
  void inspect(InspectNode& node) const;

 private:
  /// All that a guest sees, but for the card.
  struct State {
    std::uint16_t control = 0;
    std::uint16_t events = 0;  ///< of Slot Status, set until the guest clears them
    bool link_active = false;
  };
  SlotIndicator indicator(unsigned shift) const {
    return static_cast<SlotIndicator>(state_.control >> shift & pci::kSlotIndicatorMask);
  }

  State state_;
  bool is_present_ = false;
};

}  // namespace gpuvm
