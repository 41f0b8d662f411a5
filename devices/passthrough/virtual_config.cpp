// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/virtual_config.hpp"

#include <utility>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kDecode = pci::kCommandIo | pci::kCommandMemory;
constexpr auto kAdvancedFeatures = static_cast<std::uint8_t>(pci::CapabilityId::kAdvancedFeatures);
constexpr std::uint32_t kAdvancedResetCapable = 1U << 25;  // AF Capabilities, bit 1
constexpr std::uint16_t kAdvancedControl = 4;
constexpr std::uint32_t kAdvancedReset = 1;
constexpr std::uint32_t kExpressResetCapable = 1U << 28;  // 7.5.3.3
constexpr std::uint32_t kExpressReset = 1U << 15;         // 7.5.3.4

std::uint32_t visible_dword(std::span<const std::byte> config, const ConfigPatch& patch,
                            std::uint16_t offset) {
  return patch.apply(offset, load_at<std::uint32_t>(config, offset).value_or(0));
}

}  // namespace

VirtualConfig::VirtualConfig(std::span<const std::byte> config, ConfigPatch patch, BarSet bars,
                             std::uint16_t physical_decode)
    : patch_(std::move(patch)),
      physical_decode_(physical_decode),
      power_(
          find_capability(config, static_cast<std::uint8_t>(pci::CapabilityId::kPowerManagement))),
      bars_(bars) {
  const auto express =
      find_capability(config, static_cast<std::uint8_t>(pci::CapabilityId::kPciExpress));
  if (express != 0) {
    const auto at = static_cast<std::uint16_t>(express + pci::kExpressDeviceCapabilities);
    const bool announced = (visible_dword(config, patch_, at) & kExpressResetCapable) != 0;
    (announced ? express_ : denied_express_) = express;
  }
  const auto advanced = find_capability(config, kAdvancedFeatures);
  if (advanced != 0) {
    const bool announced = (visible_dword(config, patch_, advanced) & kAdvancedResetCapable) != 0;
    (announced ? advanced_ : denied_advanced_) = advanced;
  }
}

std::uint32_t VirtualConfig::read(std::uint16_t offset, std::uint32_t hardware) const {
  if (BarSet::owns(offset)) {
    return bars_.read(offset);
  }
  const auto value = patch_.apply(offset, hardware);
  switch (offset) {
    case pci::kCommand:
      return (value & ~std::uint32_t{kVirtualCommand}) | state_.command;
    case pci::kInterruptLine:
      return (value & ~0xffU) | state_.interrupt_line;
    default:
      return value;
  }
}

VirtualConfig::Effect VirtualConfig::write(std::uint16_t offset, std::uint32_t value,
                                           std::uint32_t mask) {
  if (BarSet::owns(offset)) {
    return write_bar(offset, value, mask);
  }
  if (patch_.drops_writes(offset) || patch_.begins_vpd_write(offset, value & mask)) {
    return {};
  }
  const auto bits = value & mask;
  Effect effect{.value = bits, .mask = mask};
  if (offset == pci::kCommand) {
    return write_command(value, mask);
  }
  if (offset == pci::kInterruptLine) {
    if ((mask & 0xffU) != 0) {
      state_.interrupt_line = static_cast<std::uint8_t>(value & 0xffU);
    }
    return {};  // pin, minimum grant and maximum latency are read-only
  }
  if (power_ != 0 && offset == power_dword() && (mask & pci::kPowerStateMask) != 0 &&
      (value & pci::kPowerStateMask) != state_.power_state) {
    effect.power_state = static_cast<std::uint8_t>(value & pci::kPowerStateMask);
  }
  effect.function_reset = asks_for_reset(offset, bits);
  if (denied_express_ != 0 && offset == denied_express_ + pci::kExpressDeviceControl) {
    effect.value &= ~kExpressReset;
  }
  if (denied_advanced_ != 0 && offset == denied_advanced_ + kAdvancedControl) {
    effect.value &= ~kAdvancedReset;
  }
  return effect;
}

bool VirtualConfig::asks_for_reset(std::uint16_t offset, std::uint32_t bits) const {
  const bool express = express_ != 0 && offset == express_ + pci::kExpressDeviceControl &&
                       (bits & kExpressReset) != 0;
  const bool advanced =
      advanced_ != 0 && offset == advanced_ + kAdvancedControl && (bits & kAdvancedReset) != 0;
  return express || advanced;
}

// While the decode bits are on, a guest that sizes a BAR must not move it: Windows leaves them on.
// Any later write to the BARs or the Command register settles where they are.
VirtualConfig::Effect VirtualConfig::write_bar(std::uint16_t offset, std::uint32_t value,
                                               std::uint32_t mask) {
  const auto before = bars_.read(offset);
  bars_.write(offset, value, mask);
  const bool is_changed = bars_.read(offset) != before;
  if (looks_like_sizing(offset)) {
    state_.has_unsettled_bar = state_.has_unsettled_bar || is_changed;
    return {};
  }
  return Effect{.decode_changed = std::exchange(state_.has_unsettled_bar, false) || is_changed};
}

bool VirtualConfig::looks_like_sizing(std::uint16_t offset) const {
  const bool rom = offset == pci::kRomBar;
  const unsigned bar = rom ? BarSet::kRom : (offset - pci::kBar0) / 4U;
  const auto& low = bars_.description(bar);
  if (!low) {  // the upper half of a 64-bit BAR, or no BAR at all
    const auto& whole = bars_.description(bar == 0 ? BarSet::kRom : bar - 1);
    return whole && whole->kind == BarKind::kMemory64 &&
           bars_.read(offset) == static_cast<std::uint32_t>(~(whole->size - 1) >> 32);
  }
  const auto writable = static_cast<std::uint32_t>(~(low->size - 1));
  const std::uint32_t type_bits = low->kind == BarKind::kIo ? 3 : (rom ? 0x7ff : 15);
  return writable != 0 && (bars_.read(offset) & ~type_bits) == (writable & ~type_bits);
}

VirtualConfig::Effect VirtualConfig::write_command(std::uint32_t value, std::uint32_t mask) {
  const auto before = state_.command;
  state_.command =
      static_cast<std::uint16_t>(((before & ~mask) | (value & mask)) & kVirtualCommand);
  const auto changed = static_cast<std::uint32_t>(before ^ state_.command);
  return Effect{.value = ((value & ~std::uint32_t{kVirtualCommand}) | physical_decode_) & mask,
                .mask = mask,
                .decode_changed = ((changed | state_.command) & kDecode) != 0,
                .interrupt_disable_changed = (changed & pci::kCommandInterruptDisable) != 0};
}

std::vector<BarPlacement> VirtualConfig::placements() const {
  return state_.power_state == 0 ? bars_.placements(state_.command) : std::vector<BarPlacement>();
}

void VirtualConfig::reset() {
  bars_.reset();
  state_ = State{};
}

void VirtualConfig::function_reset() {
  for (std::uint16_t offset = pci::kBar0; offset < pci::kBar0 + 24; offset += 4) {
    bars_.write(offset, 0, ~0U);
  }
  bars_.write(pci::kRomBar, 0, ~0U);
  state_ = State{};
}

void VirtualConfig::inspect(InspectNode& node) const {
  node.hex("virtual_command", state_.command);
  node.hex("always_on_in_hardware", physical_decode_);
  node.field("power_state", std::uint64_t{state_.power_state});
  for (unsigned bar = 0; bar < BarSet::kCount; ++bar) {
    if (bars_.description(bar)) {
      node.hex(bar_key(bar), bars_.address(bar));
    }
  }
  patch_.inspect(node.child("patch"));
}

}  // namespace gpuvm
