// SPDX-License-Identifier: Apache-2.0
// BarSet: see bar_set.hpp.
#include "devices/pci/bar_set.hpp"

#include <bit>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

struct SizeLimits {
  std::uint64_t least;
  std::uint64_t most;
};

SizeLimits size_limits(BarKind kind) {
  switch (kind) {
    case BarKind::kMemory32:
      return {pci::kMinMemoryBar, pci::kMemorySpace32 / 2};
    case BarKind::kMemory64:
      return {pci::kMinMemoryBar, std::uint64_t{1} << 63};
    case BarKind::kIo:
      return {pci::kMinIoBar, pci::kMaxIoBar};
    case BarKind::kRom:
      return {pci::kMinRom, pci::kMaxRom};
  }
  return {1, 0};
}

std::uint32_t type_bits(const BarDescription& description) {
  switch (description.kind) {
    case BarKind::kIo:
      return pci::kBarIo;
    case BarKind::kRom:
      return 0;
    case BarKind::kMemory32:
    case BarKind::kMemory64:
      break;
  }
  return (description.kind == BarKind::kMemory64 ? pci::kBarMemory64 : 0) |
         (description.prefetchable ? pci::kBarPrefetchable : 0);
}

/// The last address of the space that a BAR of this kind can reach.
std::uint64_t last_address(BarKind kind) {
  switch (kind) {
    case BarKind::kMemory64:
      return ~std::uint64_t{0};
    case BarKind::kIo:
      return pci::kMaxIoBar - 1;
    case BarKind::kMemory32:
    case BarKind::kRom:
      break;
  }
  return pci::kMemorySpace32 - 1;
}

constexpr std::uint32_t low_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}
constexpr std::uint32_t high_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

}  // namespace

std::string bar_name(unsigned bar) {
  return bar == BarSet::kRom ? "the expansion ROM" : fmt::format("BAR {}", bar);
}

std::string bar_key(unsigned bar) {
  return bar == BarSet::kRom ? "rom" : fmt::format("bar{}", bar);
}

Status BarSet::define(unsigned bar, const BarDescription& description) {
  const auto limits = size_limits(description.kind);
  if (!std::has_single_bit(description.size) || description.size < limits.least ||
      description.size > limits.most) {
    return fail(ErrorKind::kInternal, "Size {:#x} of {} is no power of two from {:#x} to {:#x}",
                description.size, bar_name(bar), limits.least, limits.most);
  }
  const bool wide = description.kind == BarKind::kMemory64;
  const bool is_rom = description.kind == BarKind::kRom;
  const bool exists = is_rom ? bar == kRom : bar < (wide ? kRom - 1 : kRom);
  const auto taken = [this](unsigned which) {
    return descriptions_[which] || (which != 0 && descriptions_[which - 1] &&
                                    descriptions_[which - 1]->kind == BarKind::kMemory64);
  };
  if (!exists || taken(bar) || (wide && taken(bar + 1))) {
    return fail(ErrorKind::kInternal, "No free place for {}", bar_name(bar));
  }
  const std::uint64_t mask = ~(description.size - 1);
  descriptions_[bar] = description;
  types_[bar] = type_bits(description);
  masks_[bar] = low_half(mask) | (is_rom ? pci::kRomEnable : 0);
  if (wide) {
    masks_[bar + 1] = high_half(mask);
  }
  return {};
}

const std::optional<BarDescription>& BarSet::description(unsigned bar) const {
  static const std::optional<BarDescription> none;
  return bar < kCount ? descriptions_[bar] : none;
}

Status BarSet::set_power_on_address(unsigned bar, std::uint64_t address) {
  const auto& wanted = description(bar);
  if (!wanted) {
    return fail(ErrorKind::kInternal, "Cannot place {}: it does not exist", bar_name(bar));
  }
  if (!is_aligned(address, wanted->size) || address > last_address(wanted->kind)) {
    return fail(ErrorKind::kInternal, "Cannot place {} of {:#x} bytes at {:#x}", bar_name(bar),
                wanted->size, address);
  }
  const auto put = [&](State& state) {
    state.registers[bar] = low_half(address);
    if (wanted->kind == BarKind::kMemory64) {
      state.registers[bar + 1] = high_half(address);
    }
  };
  put(power_on_);
  put(state_);
  return {};
}

std::optional<unsigned> BarSet::register_of(std::uint16_t offset) {
  if (!owns(offset)) {
    return std::nullopt;
  }
  const unsigned dword = (offset - pci::kBar0) / 4U;
  return dword < kRom ? dword : kRom;
}

std::uint32_t BarSet::read(std::uint16_t offset) const {
  const auto which = register_of(offset);
  return which ? state_.registers[*which] | types_[*which] : 0;
}

void BarSet::write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  const auto which = register_of(offset);
  if (which) {
    auto& reg = state_.registers[*which];
    const std::uint32_t changed = masks_[*which] & mask;
    reg = (reg & ~changed) | (value & changed);
  }
}

std::uint64_t BarSet::address(unsigned bar) const {
  const auto& wanted = description(bar);
  if (!wanted) {
    return 0;
  }
  std::uint64_t bits = state_.registers[bar];
  if (wanted->kind == BarKind::kMemory64) {
    bits |= static_cast<std::uint64_t>(state_.registers[bar + 1]) << 32;
  }
  return align_down(bits, wanted->size);
}

bool BarSet::holds_sizing_pattern(unsigned bar) const {
  const unsigned decisive = descriptions_[bar]->kind == BarKind::kMemory64 ? bar + 1 : bar;
  const std::uint32_t mask = masks_[decisive] & ~(bar == kRom ? pci::kRomEnable : 0);
  return (state_.registers[decisive] & mask) == mask;
}

std::optional<BarPlacement> BarSet::placement(unsigned bar, std::uint16_t command) const {
  const auto& wanted = description(bar);
  if (!wanted) {
    return std::nullopt;
  }
  const auto decode = wanted->kind == BarKind::kIo ? pci::kCommandIo : pci::kCommandMemory;
  if ((command & decode) == 0 || (bar == kRom && !rom_enabled())) {
    return std::nullopt;
  }
  const std::uint64_t at = address(bar);
  const std::uint64_t last = last_address(wanted->kind);
  if (at == 0 || holds_sizing_pattern(bar) || at > last || wanted->size - 1 > last - at) {
    return std::nullopt;
  }
  return BarPlacement{bar, wanted->kind, at, wanted->size};
}

std::vector<BarPlacement> BarSet::placements(std::uint16_t command) const {
  std::vector<BarPlacement> found;
  for (unsigned bar = 0; bar < kCount; ++bar) {
    if (const auto one = placement(bar, command)) {
      found.push_back(*one);
    }
  }
  return found;
}

}  // namespace gpuvm
