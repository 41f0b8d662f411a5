// SPDX-License-Identifier: Apache-2.0
// ConfigSpace: the 4 KiB register file of an emulated function (PCI Express Base 6.0, 7.2): reset
// values, which bits a guest may write, which ones it clears by writing 1, and a builder that links
// capabilities. Pure: no lock, no side effects; the owner compares what write() returns.
// Missing: extended capabilities; per-bit set-once and hardware-initialised attributes (7.4): such
// bits are read-only.
#pragma once

#include <array>
#include <cstdint>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// One register of 1, 2 or 4 bytes that does not cross a dword.
struct ConfigRegister {
  std::uint16_t offset = 0;
  unsigned size = 4;
  std::uint32_t reset_value = 0;
  std::uint32_t writable = 0;            ///< bits a guest may change
  std::uint32_t write_one_to_clear = 0;  ///< bits a guest clears by writing 1 (RW1C, 7.4)
};

/// Not synchronised: its owner holds a lock.
class ConfigSpace {
 public:
  /// A dword before and after a write.
  struct Change {
    std::uint32_t before = 0;
    std::uint32_t after = 0;
    /// True if the bit was 0 and now is 1.
    constexpr bool rises(std::uint32_t bit) const { return (~before & after & bit) != 0; }
  };

  /// Defines (or redefines) a register, now and at every reset. Offsets of our own code only:
  /// one that does not fit is ignored.
  void define(const ConfigRegister& reg);
  /// The three bytes at 0x08 and the ids at 0x00.
  void define_identity(std::uint16_t vendor, std::uint16_t device, std::uint32_t class_code);

  /// Appends a standard capability of `size` bytes (header included) at the next free dword from
  /// 0x40 on and links it. Errors: kInternal when the 256 bytes are full.
  Result<std::uint16_t> add_capability(pci::CapabilityId id, std::uint16_t size);

  /// offset: low bits and bits above 4095 are ignored.
  std::uint32_t read(std::uint16_t offset) const { return state_.dwords[index(offset)]; }
  /// The 1, 2 or 4 bytes at an offset, in one dword.
  std::uint32_t read(std::uint16_t offset, unsigned size) const;
  /// A guest's write: only bits under `mask` that are writable change.
  Change write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);
  /// Sets bits from the hardware's side (status), whatever a guest may write; lost at reset.
  void set(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);
  /// Back to reset values. Nothing survives but the definition.
  void reset() { state_ = reset_state_; }

 private:
  static constexpr std::size_t kDwords = pci::kConfigSize / 4;
  using Dwords = std::array<std::uint32_t, kDwords>;
  struct State {
    Dwords dwords{};
  };
  static constexpr std::size_t index(std::uint16_t offset) { return (offset / 4U) % kDwords; }

  State state_;
  State reset_state_;
  Dwords writable_{};
  Dwords write_one_to_clear_{};
  std::uint16_t next_capability_ = 0x40;  ///< first free byte
  std::uint16_t capability_link_ = pci::kCapabilitiesPointer;
};

}  // namespace gpuvm
