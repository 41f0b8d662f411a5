// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the building blocks of the AML encodings (ACPI 6.5, 20.2).
#pragma once

#include <cstddef>
#include <cstdint>

#include "firmware/acpi/aml.hpp"

namespace gpuvm::aml {

constexpr std::byte to_byte(std::uint64_t value) {
  return static_cast<std::byte>(value & 0xff);
}

inline void append(Bytes& out, const Bytes& more) {
  out.insert(out.end(), more.begin(), more.end());
}

inline void append_le(Bytes& out, std::uint64_t value, unsigned size) {
  for (unsigned i = 0; i < size; ++i) {
    out.push_back(to_byte(value >> (8 * i)));
  }
}

/// An opcode (0x5bXX: extended) followed by its operands.
Term operation(std::uint16_t opcode, const Terms& operands);
/// An opcode, a PkgLength, head and body.
Term packaged(std::uint16_t opcode, const Terms& head, const Terms& body);

}  // namespace gpuvm::aml
