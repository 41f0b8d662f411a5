// SPDX-License-Identifier: Apache-2.0
// The guest's firmware as bytes inside gpuvm. Host code.
#pragma once

#include <cstddef>
#include <span>

#include "firmware/efi/image_header.hpp"

namespace gpuvm::efi {

/// The image as it must stand at image_header().base.
std::span<const std::byte> embedded_image();
/// Its head.
ImageHeader embedded_image_header();

}  // namespace gpuvm::efi
