// SPDX-License-Identifier: Apache-2.0
// x86 I/O port accesses of the firmware. On the host, tests provide these functions themselves.
#pragma once

#include <cstdint>

namespace gpuvm::efi {

std::uint8_t read_port8(std::uint16_t port);
void write_port8(std::uint16_t port, std::uint8_t value);
void write_port16(std::uint16_t port, std::uint16_t value);

}  // namespace gpuvm::efi
