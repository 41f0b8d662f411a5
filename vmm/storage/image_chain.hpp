// SPDX-License-Identifier: Apache-2.0
// An image and those below it (backing files), opened. Whoever serves them gets descriptors and
// opens no path, so what an image names cannot lead it elsewhere.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/unique_fd.hpp"
#include "vmm/storage/image_header.hpp"

namespace gpuvm {

struct ImageLayer {
  UniqueFd fd;
  std::string path;  ///< where the kernel says that it is
  ImageFormat format = ImageFormat::kRaw;
  std::uint64_t size = 0;  ///< as ImageHeader's; of a raw one its own, up to a multiple of 512
  bool is_block_device = false;
};

struct ImageRequest {
  std::string path;
  ImageFormat format = ImageFormat::kRaw;
  bool writable = false;  ///< the first; those below it are only read
};

/// The image first. Files below it must lie in its own folder, or below that, which may be neither
/// / nor /dev. What is no file of a disk, or must not be had, is not opened at all. Errors: kConfig
/// naming the file, what is wrong with it and the cure.
Result<std::vector<ImageLayer>> open_image_chain(const ImageRequest& request);

}  // namespace gpuvm
