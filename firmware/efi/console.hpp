// SPDX-License-Identifier: Apache-2.0
// The firmware's console: a 16550 at a port, output only, in polling mode, and the simple text
// output protocol over it (UEFI 2.10, section 12.4). Characters beyond ASCII become question marks.
// Missing: input, colours, cursor movement.
#pragma once

#include "firmware/efi/uefi_tables.hpp"

namespace gpuvm::efi {

class Console {
 public:
  /// Port 0: no console, everything printed is lost.
  void open(std::uint16_t port);
  void print(const char* text);
  void print(const Char16* text);
  TextOutput* protocol() { return &protocol_; }

 private:
  void put(char character);

  std::uint16_t port_ = 0;
  TextOutputMode mode_;
  TextOutput protocol_ = {};
};

}  // namespace gpuvm::efi
