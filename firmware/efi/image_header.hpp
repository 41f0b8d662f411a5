// SPDX-License-Identifier: Apache-2.0
// The head of the firmware's image, filled by the linker script (firmware.lds): where the monitor
// must put it and where it starts. The image is entered in long mode with memory below 4 GiB mapped
// to itself, interrupts off, RSI = address of the device tree.
#pragma once

#include <cstdint>

namespace gpuvm::efi {

struct ImageHeader {
  std::uint64_t magic = 0;
  std::uint64_t base = 0;         ///< load address
  std::uint64_t entry = 0;        ///< address of the first instruction
  std::uint64_t file_end = 0;     ///< what follows the file's bytes up to memory_end is zero
  std::uint64_t data = 0;         ///< end of code, start of data
  std::uint64_t runtime_end = 0;  ///< from here on only boot services need it
  std::uint64_t memory_end = 0;
  std::uint64_t variables = 0;  ///< the variable store's block (variable_store.hpp)
};
static_assert(sizeof(ImageHeader) == 64);
constexpr std::uint64_t kImageMagic = 0x4945'4d56'5550'47;  // "GPUVMEI"

}  // namespace gpuvm::efi
