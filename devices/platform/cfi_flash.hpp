// SPDX-License-Identifier: Apache-2.0
// CfiFlash: the command interface of a parallel NOR flash chip, eight bits wide, with Intel's basic
// command set (Common Flash Interface command set 0x0001; Intel 28F640J3 datasheet, table 4, "bus
// operations and command definitions"). Programming only clears bits; erasing a block sets them.
// UEFI firmware for virtual machines keeps its variables in such a chip.
//
// Status is shown after 0x70 only: after program and erase the array stays readable, where a chip
// would show its status until 0xff. Firmware does not look there, and each change between the two
// views costs the guest its page tables in KVM. As virtual machines have it, 0x50 clears the ready
// bit too, which is how OVMF tells this chip from RAM and ROM.
// Missing: the CFI query (0x98), identifier codes (0x90), buffered writes (0xe8), lock bits (0x60),
// suspend (0xb0): they are ignored. Operations end at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/inspect.hpp"

namespace gpuvm {

/// Keeps what a chip holds beyond the monitor's life. Called in the guest's order.
class FlashStore {
 public:
  virtual ~FlashStore() = default;
  /// The bytes at this offset are these from now on, all of them or none of them even if the
  /// monitor is killed: one byte, or one block. False: they could not be kept.
  virtual bool keep(std::uint64_t offset, std::span<const std::byte> bytes) = 0;
};

/// Not synchronised: its owner holds a lock.
class CfiFlash : public Inspectable {
 public:
  /// Erase blocks. OVMF's variable volumes are made of these.
  static constexpr std::uint64_t kBlockSize = 4096;

  // Commands.
  static constexpr std::uint8_t kReadArray = 0xff;
  static constexpr std::uint8_t kReadStatus = 0x70;
  static constexpr std::uint8_t kClearStatus = 0x50;
  static constexpr std::uint8_t kProgram = 0x10;
  static constexpr std::uint8_t kProgramAlternate = 0x40;
  static constexpr std::uint8_t kEraseBlock = 0x20;
  static constexpr std::uint8_t kConfirm = 0xd0;
  // Status bits.
  static constexpr std::uint8_t kReady = 0x80;
  static constexpr std::uint8_t kEraseError = 0x20;
  static constexpr std::uint8_t kProgramError = 0x10;

  /// array: whole blocks; the chip's contents, which the guest may read directly while
  /// shows_array(). Both must outlive this.
  CfiFlash(std::span<std::byte> array, FlashStore& store) : array_(array), store_(store) {}

  /// Reads give the array (true) or the status register (false).
  bool shows_array() const { return state_.view == View::kArray; }
  /// What one byte reads as now; all ones past the end.
  std::uint8_t read(std::uint64_t offset) const;
  /// A byte written: a command, or the data that one asked for. Past the end: ignored.
  void write(std::uint64_t offset, std::uint8_t value);
  /// Power-on state. Survives: the array.
  void reset() { state_ = State{}; }
  void inspect(InspectNode& node) const override;

 private:
  enum class View { kArray, kStatus };
  enum class Expects { kCommand, kData, kConfirmation };
  struct State {
    View view = View::kArray;
    Expects expects = Expects::kCommand;
    std::uint8_t status = kReady;
  };

  void command(std::uint8_t value);
  void program(std::uint64_t offset, std::uint8_t value);
  void erase(std::uint64_t offset);

  const std::span<std::byte> array_;
  FlashStore& store_;
  State state_;
  std::uint64_t programs_ = 0;
  std::uint64_t erases_ = 0;
  std::uint64_t lost_ = 0;  ///< not kept by the store
};

}  // namespace gpuvm
