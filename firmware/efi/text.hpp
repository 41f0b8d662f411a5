// SPDX-License-Identifier: Apache-2.0
// Text: a short line put together from words and numbers, without memory of its own elsewhere; what
// does not fit is left out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::efi {

class Text {
 public:
  Text& add(const char* words);
  /// "0x" and hexadecimal digits, without leading zeros.
  Text& add_hex(std::uint64_t value);
  const char* c_str() const { return text_; }

 private:
  static constexpr std::size_t kCapacity = 160;
  char text_[kCapacity] = {};
  std::size_t length_ = 0;
};

}  // namespace gpuvm::efi
