// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/embedded_image.hpp"

#include <cstring>

__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    "gpuvm_efi_image_start:\n"
    ".incbin \"" GPUVM_EFI_BINARY
    "\"\n"
    "gpuvm_efi_image_end:\n"
    ".popsection\n");

namespace gpuvm::efi {

extern "C" const std::byte gpuvm_efi_image_start[];
extern "C" const std::byte gpuvm_efi_image_end[];

std::span<const std::byte> embedded_image() {
  return {gpuvm_efi_image_start, gpuvm_efi_image_end};
}

ImageHeader embedded_image_header() {
  ImageHeader header;
  std::memcpy(&header, gpuvm_efi_image_start, sizeof header);
  return header;
}

}  // namespace gpuvm::efi
