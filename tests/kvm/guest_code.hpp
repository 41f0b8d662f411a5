// SPDX-License-Identifier: Apache-2.0
// GuestCode: machine code for the smallest guests, instruction by instruction (Intel SDM volume 2,
// 32-bit operand size unless a name says otherwise). Only what a partial in-kernel instruction
// emulator is likely to know.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "vmm/base/bytes.hpp"

namespace gpuvm::test {

constexpr std::uint8_t kReportPort = 0xf0;  ///< each dword written is one value for the test
constexpr std::uint8_t kFinishPort = 0xf4;  ///< a write ends the run

class GuestCode {
 public:
  const std::vector<std::byte>& bytes() const { return bytes_; }

  GuestCode& raw(std::initializer_list<unsigned> code) {
    for (const unsigned byte : code) {
      bytes_.push_back(static_cast<std::byte>(byte));
    }
    return *this;
  }
  GuestCode& imm32(std::uint32_t value) { return imm(value, 4); }

  GuestCode& mov_eax(std::uint32_t value) { return raw({0xb8}).imm32(value); }
  GuestCode& mov_ecx(std::uint32_t value) { return raw({0xb9}).imm32(value); }
  GuestCode& mov_edx(std::uint32_t value) { return raw({0xba}).imm32(value); }
  GuestCode& mov_esi(std::uint32_t value) { return raw({0xbe}).imm32(value); }
  GuestCode& mov_edi(std::uint32_t value) { return raw({0xbf}).imm32(value); }
  GuestCode& mov_eax_ebx() { return raw({0x89, 0xd8}); }
  GuestCode& mov_eax_ecx() { return raw({0x89, 0xc8}); }
  GuestCode& mov_eax_edx() { return raw({0x89, 0xd0}); }

  /// Between AL, AX or EAX (by size) and the port in DX.
  GuestCode& out_dx(unsigned size) { return sized(size, 0xee, 0xef); }
  GuestCode& in_dx(unsigned size) { return sized(size, 0xec, 0xed); }
  /// Between AL, AX or EAX and an absolute address.
  GuestCode& store(std::uint32_t address, unsigned size) {
    return sized(size, 0xa2, 0xa3).imm32(address);
  }
  GuestCode& load(std::uint32_t address, unsigned size) {
    return sized(size, 0xa0, 0xa1).imm32(address);
  }
  GuestCode& store_value(std::uint32_t address, std::uint32_t value) {
    return mov_eax(value).store(address, 4);
  }
  /// 64-bit mode, RAX.
  GuestCode& mov_rax(std::uint64_t value) { return raw({0x48, 0xb8}).imm(value, 8); }
  GuestCode& store_rax(std::uint64_t address) { return raw({0x48, 0xa3}).imm(address, 8); }
  GuestCode& load_rax(std::uint64_t address) { return raw({0x48, 0xa1}).imm(address, 8); }
  GuestCode& shift_rax_right_32() { return raw({0x48, 0xc1, 0xe8, 32}); }

  GuestCode& report_eax() { return raw({0xe7, kReportPort}); }
  GuestCode& report(std::uint32_t value) { return mov_eax(value).report_eax(); }
  GuestCode& finish() { return raw({0xe6, kFinishPort}); }

  /// Waits with interrupts on; STI takes effect after HLT has begun, so none is missed.
  GuestCode& wait_for_interrupt() { return raw({0xfb, 0xf4, 0xfa}); }
  GuestCode& spin() { return raw({0xeb, 0xfe}); }

 private:
  GuestCode& sized(unsigned size, unsigned byte_opcode, unsigned opcode) {
    if (size == 1) {
      return raw({byte_opcode});
    }
    return size == 2 ? raw({0x66, opcode}) : raw({opcode});
  }
  GuestCode& imm(std::uint64_t value, unsigned size) {
    for (unsigned i = 0; i < size; ++i) {
      bytes_.push_back(static_cast<std::byte>(value >> i * 8));
    }
    return *this;
  }

  std::vector<std::byte> bytes_;
};

}  // namespace gpuvm::test
