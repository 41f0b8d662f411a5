// SPDX-License-Identifier: Apache-2.0
// A small FAT16 file system as bytes, with files in its root folder under their long names. Our
// own, because the libraries that make one either write parts of it into a file under /tmp
// (libarchive's ISO 9660), which is no place for secrets, or have a licence that does not go with
// ours (libisofs); and programs (mtools) would have to be there wherever gpuvm runs. Missing:
// folders, other FATs, names beyond ASCII, times: all files are of 1 January 1980.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct VolumeFile {
  std::string name;      ///< of letters, digits, "-" and "_"; 1 to 64 characters
  std::string contents;  ///< may be empty
};

/// The same input gives the same bytes, a multiple of 512. `label`: up to 11 capital letters and
/// digits. `serial`: what tools show as the volume's id. Errors: kConfig for files of more than 31
/// MiB, kInternal for a name or label that will not do.
Result<std::vector<std::byte>> make_fat_volume(std::string_view label, std::uint32_t serial,
                                               const std::vector<VolumeFile>& files);

}  // namespace gpuvm
