// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/ports.hpp"

namespace gpuvm::efi {

std::uint8_t read_port8(std::uint16_t port) {
  std::uint8_t value = 0;
  __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
  return value;
}

void write_port8(std::uint16_t port, std::uint8_t value) {
  __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

void write_port16(std::uint16_t port, std::uint16_t value) {
  __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

}  // namespace gpuvm::efi
