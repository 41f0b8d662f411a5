// SPDX-License-Identifier: Apache-2.0
// BarSet: the base address registers of a type 0 function, six BARs and the expansion ROM (PCI
// Express Base 6.0, 7.5.1.2.1 and 7.5.1.2.4; PCI Local Bus 3.0, 6.2.5). Each register is just
// masked bits: reading gives what was written, under the size's mask, with the type bits. Sizing is
// therefore no mode: any pattern works, several BARs may hold all ones at once, and the halves of a
// 64-bit BAR may be written in any order.
// Pure and shared by passthrough and emulated functions. Missing: type 1 headers (two BARs), ROM
// validation status (7.5.1.2.4 bits 7:1), resizable BARs.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

enum class BarKind { kMemory32, kMemory64, kIo, kRom };

struct BarDescription {
  BarKind kind = BarKind::kMemory32;
  std::uint64_t size = 0;     ///< bytes, a power of two
  bool prefetchable = false;  ///< memory kinds only
  bool operator==(const BarDescription&) const = default;
};

/// A BAR at an address where the function would decode it now.
struct BarPlacement {
  unsigned bar = 0;  ///< 0 to 5, or BarSet::kRom
  BarKind kind = BarKind::kMemory32;
  std::uint64_t address = 0;  ///< guest physical, or an I/O port
  std::uint64_t size = 0;
  bool operator==(const BarPlacement&) const = default;
};

/// "BAR 2" or "the expansion ROM", for messages.
std::string bar_name(unsigned bar);
/// The same as a key: "bar0", "rom".
std::string bar_key(unsigned bar);

/// Not synchronised: its owner holds a lock.
class BarSet {
 public:
  static constexpr unsigned kRom = 6;  ///< number of the expansion ROM, as VFIO counts
  static constexpr unsigned kCount = 7;

  /// Defines a BAR. A 64-bit one takes bar and bar + 1. Errors: kInternal for a size that is no
  /// power of two or out of range for its kind, a bar that does not exist or is taken.
  Status define(unsigned bar, const BarDescription& description);
  /// Nothing when the BAR is not implemented (or is the upper half of another).
  const std::optional<BarDescription>& description(unsigned bar) const;

  /// Where the BAR stands at power-on and now; reset() restores it. The ROM stays disabled.
  /// Errors: kInternal when the BAR is absent, the address unaligned or too high for the kind.
  Status set_power_on_address(unsigned bar, std::uint64_t address);

  /// True for the config dwords that this class answers: 0x10 to 0x27 and 0x30.
  static constexpr bool owns(std::uint16_t offset) {
    return (offset >= pci::kBar0 && offset < pci::kBar0 + 24) || offset / 4 == pci::kRomBar / 4;
  }
  /// A config dword; 0 for what is not implemented.
  std::uint32_t read(std::uint16_t offset) const;
  /// mask: 0xff in each byte lane that is written.
  void write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);

  /// The address bits as they stand, decoded or not; 0 for an absent BAR.
  std::uint64_t address(unsigned bar) const;
  /// True while the ROM's own enable bit is set.
  bool rom_enabled() const { return (state_.registers[kRom] & pci::kRomEnable) != 0; }

  /// BARs that are decoded at a final address, given the Command register. Left out: kinds whose
  /// decode bit is off; a ROM whose enable bit is off; address 0 (never assigned); every writable
  /// bit set, which is the sizing pattern (for a 64-bit BAR: in the upper half, as a lower half of
  /// all ones may be an address); a range that runs past the end of its space.
  std::vector<BarPlacement> placements(std::uint16_t command) const;

  /// Back to power-on addresses. Survives: the definition and the power-on addresses.
  void reset() { state_ = power_on_; }

 private:
  struct State {
    std::array<std::uint32_t, kCount> registers{};  ///< address bits and the ROM's enable bit
  };
  static std::optional<unsigned> register_of(std::uint16_t offset);
  std::optional<BarPlacement> placement(unsigned bar, std::uint16_t command) const;
  bool holds_sizing_pattern(unsigned bar) const;

  std::array<std::optional<BarDescription>, kCount> descriptions_;
  std::array<std::uint32_t, kCount> masks_{};  ///< writable bits
  std::array<std::uint32_t, kCount> types_{};  ///< read-only low bits
  State power_on_;
  State state_;
};

}  // namespace gpuvm
