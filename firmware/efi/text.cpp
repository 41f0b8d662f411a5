// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/text.hpp"

namespace gpuvm::efi {

Text& Text::add(const char* words) {
  for (; *words != '\0' && length_ + 1 < kCapacity; ++words) {
    text_[length_++] = *words;
  }
  return *this;
}

Text& Text::add_hex(std::uint64_t value) {
  char digits[19] = "0x";
  unsigned count = 1;
  while (count < 16 && value >> (4 * count) != 0) {
    ++count;
  }
  for (unsigned i = 0; i < count; ++i) {
    digits[2 + i] = "0123456789abcdef"[value >> (4 * (count - 1 - i)) & 0xf];
  }
  return add(digits);
}

}  // namespace gpuvm::efi
