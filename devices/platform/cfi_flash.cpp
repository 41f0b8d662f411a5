// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/cfi_flash.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/units.hpp"

namespace gpuvm {

std::uint8_t CfiFlash::read(std::uint64_t offset) const {
  if (offset >= array_.size()) {
    return 0xff;
  }
  return shows_array() ? std::to_integer<std::uint8_t>(array_[offset]) : state_.status;
}

void CfiFlash::write(std::uint64_t offset, std::uint8_t value) {
  if (offset >= array_.size()) {
    return;
  }
  switch (state_.expects) {
    case Expects::kCommand:
      command(value);
      return;
    case Expects::kData:
      state_.expects = Expects::kCommand;
      program(offset, value);
      return;
    case Expects::kConfirmation:
      state_.expects = Expects::kCommand;
      if (value == kConfirm) {
        erase(offset);
      } else {
        state_.status |= kEraseError | kProgramError;  // both: "command sequence error"
        if (value == kReadArray) {
          state_.view = View::kArray;
        }
      }
      return;
  }
}

void CfiFlash::command(std::uint8_t value) {
  switch (value) {
    case kReadArray:
      state_.view = View::kArray;
      return;
    case kReadStatus:
      state_.view = View::kStatus;
      return;
    case kClearStatus:
      state_.status = 0;
      return;
    case kProgram:
    case kProgramAlternate:
      state_.expects = Expects::kData;
      return;
    case kEraseBlock:
      state_.expects = Expects::kConfirmation;
      return;
    default:
      return;
  }
}

void CfiFlash::program(std::uint64_t offset, std::uint8_t value) {
  ++programs_;
  const std::byte byte = array_[offset] & static_cast<std::byte>(value);
  if (!store_.keep(offset, {&byte, 1})) {
    ++lost_;
    state_.status |= kProgramError;
    return;
  }
  array_[offset] = byte;
  state_.status |= kReady;
}

void CfiFlash::erase(std::uint64_t offset) {
  ++erases_;
  const std::uint64_t start = align_down(offset, kBlockSize);
  std::array<std::byte, kBlockSize> blank;
  blank.fill(std::byte{0xff});
  const auto block = std::span(blank).first(std::min(kBlockSize, array_.size() - start));
  if (!store_.keep(start, block)) {
    ++lost_;
    state_.status |= kEraseError;
    return;
  }
  std::copy(block.begin(), block.end(), array_.begin() + static_cast<std::ptrdiff_t>(start));
  state_.status |= kReady;
}

void CfiFlash::inspect(InspectNode& node) const {
  node.field("size", std::uint64_t{array_.size()});
  node.field("shows_array", shows_array());
  node.hex("status", state_.status);
  node.field("bytes_programmed", programs_);
  node.field("blocks_erased", erases_);
  node.field("lost", lost_);
}

}  // namespace gpuvm
