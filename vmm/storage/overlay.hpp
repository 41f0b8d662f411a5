// SPDX-License-Identifier: Apache-2.0
// An empty qcow2 image without a name: what is written to it is gone when the last descriptor is
// closed, however that comes. It says nothing of a backing file: whoever opens it says so.
#pragma once

#include <cstdint>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// Of a file system, bytes.
struct FileSystemRoom {
  std::uint64_t free = 0;  ///< for whoever is not root
  std::uint64_t size = 0;
  /// What a throwaway disk leaves to the host: a twentieth, and no more than 8 GiB.
  std::uint64_t reserve() const;
};

/// `size`: of the disk, bytes. It lies in /var/tmp, or for other users than root where TMPDIR says.
/// Errors: kHost; kConfig: the disk is too large.
Result<UniqueFd> make_overlay(std::uint64_t size);

/// The largest that the file of a disk of `size` bytes can become when all of it is written.
std::uint64_t most_of_overlay(std::uint64_t size);

/// How large the file may become now.
struct OverlayLimit {
  std::uint64_t bytes = 0;
  bool is_full = false;  ///< it may not grow: its file system has nothing left but the reserve
};
/// As `most` says, and as the file system has room.
OverlayLimit overlay_limit(std::uint64_t file_size, std::uint64_t most, const FileSystemRoom& room);
/// The same for an open file. Errors: kHost.
Result<OverlayLimit> overlay_limit(int file, std::uint64_t most);

}  // namespace gpuvm
