// SPDX-License-Identifier: Apache-2.0
// VirtualConfig: the guest's view of a function's configuration space, except for MSI and MSI-X:
// BARs, decode bits, the interrupt line and the power state are ours; all else is the hardware's
// under the ConfigPatch. A register machine without any wiring: write() says what is to be done.
// PCI Express Base 6.0, 7.5.1 (header), 7.5.2 (power management), 6.6.2 (function level reset).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "devices/passthrough/config_patch.hpp"
#include "devices/pci/bar_set.hpp"

namespace gpuvm {

class VirtualConfig : public Inspectable {
 public:
  /// All that is guest-visible, besides the BARs' own state.
  struct State {
    std::uint16_t command = 0;  ///< only kVirtualCommand
    std::uint8_t interrupt_line = 0;
    std::uint8_t power_state = 0;    ///< 0: D0, 3: D3hot
    bool has_unsettled_bar = false;  ///< a write that looked like sizing has moved nothing yet
  };

  /// What a write asks for.
  struct Effect {
    std::uint32_t value = 0;      ///< for the hardware, in the byte lanes of mask
    std::uint32_t mask = 0;       ///< 0: nothing goes to the hardware
    bool decode_changed = false;  ///< BARs or decode bits: placements() may have changed
    bool interrupt_disable_changed = false;
    std::optional<std::uint8_t> power_state = {};  ///< a change is asked for
    bool function_reset = false;
  };

  /// Decode bits are virtual because the device's own decode stays on: switching it off would take
  /// our mappings of the BARs away. Interrupt Disable is, because the host masks INTx itself.
  static constexpr std::uint16_t kVirtualCommand =
      pci::kCommandIo | pci::kCommandMemory | pci::kCommandInterruptDisable;

  /// `config`: the hardware's configuration space when the guest starts; `physical_decode`: the
  /// decode bits that are always on in the hardware.
  VirtualConfig(std::span<const std::byte> config, ConfigPatch patch, BarSet bars,
                std::uint16_t physical_decode);

  BarSet& bars() { return bars_; }
  const BarSet& bars() const { return bars_; }
  const State& state() const { return state_; }
  /// Offset of the dword that holds the power state, or 0.
  std::uint16_t power_dword() const {
    return power_ == 0 ? std::uint16_t{0} : static_cast<std::uint16_t>(power_ + pci::kPowerControl);
  }
  bool interrupt_disabled() const { return (state_.command & pci::kCommandInterruptDisable) != 0; }

  /// True if the hardware's value is not needed for a read.
  static bool answers_alone(std::uint16_t offset) { return BarSet::owns(offset); }
  std::uint32_t read(std::uint16_t offset, std::uint32_t hardware) const;
  Effect write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);

  /// Bits of the dword that the guest's writes must leave as the hardware has them.
  std::uint32_t kept_bits(std::uint16_t offset) const { return patch_.patched_bits(offset); }
  std::uint8_t power_state() const { return state_.power_state; }
  /// The power state that the hardware took; unsupported ones are ignored by it.
  void set_power_state(std::uint32_t state) {
    state_.power_state = static_cast<std::uint8_t>(state & pci::kPowerStateMask);
  }
  /// What the function decodes now; nothing outside D0.
  std::vector<BarPlacement> placements() const;

  /// State after a machine reset: BARs at their power-on addresses.
  void reset();
  /// State after a function level reset: BARs lose their values.
  void function_reset();
  void inspect(InspectNode& node) const override;

 private:
  Effect write_bar(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);
  Effect write_command(std::uint32_t value, std::uint32_t mask);
  bool looks_like_sizing(std::uint16_t offset) const;
  bool asks_for_reset(std::uint16_t offset, std::uint32_t bits) const;

  const ConfigPatch patch_;
  const std::uint16_t physical_decode_;
  const std::uint16_t power_;
  std::uint16_t express_ = 0;          ///< capability, if it announces FLR
  std::uint16_t advanced_ = 0;         ///< capability, if it announces FLR
  std::uint16_t denied_express_ = 0;   ///< FLR hidden: the bit is dropped
  std::uint16_t denied_advanced_ = 0;  ///< likewise
  BarSet bars_;
  State state_;
};

}  // namespace gpuvm
