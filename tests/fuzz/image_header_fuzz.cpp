// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the beginning of a disk image that may come from anywhere, read as each format. What
// must hold: what is shown is text; what the user calls raw names no other file, whatever a guest
// has written to its front.
#include <cstdint>
#include <cstdlib>
#include <span>

#include "vmm/storage/image_header.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gpuvm::ImageFormat;
  for (const auto format : {ImageFormat::kRaw, ImageFormat::kQcow2, ImageFormat::kVmdk,
                            ImageFormat::kVdi, ImageFormat::kVhdx}) {
    const auto header =
        gpuvm::parse_image_header(format, std::as_bytes(std::span(data, size)), "image");
    if (format == ImageFormat::kRaw && (!header || !header->backing.empty())) {
      std::abort();
    }
    const std::string text = header ? header->backing : header.error().to_string();
    for (const char c : text) {
      if (static_cast<unsigned char>(c) < ' ') {
        std::abort();
      }
    }
  }
  return 0;
}
