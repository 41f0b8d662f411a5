// SPDX-License-Identifier: Apache-2.0
// Files of a shared folder, copied among a job's artifacts when its guest is gone. The guest made
// all of them: regular files and folders alone are taken, no symbolic link is followed, no device
// or FIFO opened, no other file system entered, and everything has a limit. What is left out is
// counted, and the first of it named.
//
// Copies are new files of gpuvm's user, for whose group and others they have what the originals
// have of rights to read, and folders to search: a file of mode 0600 stays its owner's alone.
// Rights to write and to run, set-user-ID and the like are not kept.
//
// Missing: owners, times and extended attributes. Of a sparse file the holes become zeroes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

struct ShareLimits {
  std::uint64_t files = 10'000;
  std::uint64_t bytes = std::uint64_t{1} << 30;            ///< of all files
  std::uint64_t bytes_of_file = std::uint64_t{256} << 20;  ///< of each
  std::uint64_t names = 100'000;                           ///< that are looked at
  unsigned depth = 16;                                     ///< folders below the share
};

struct ShareCopy {
  static constexpr std::size_t kMostReasons = 5;

  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t left_out = 0;             ///< files, folders and others
  std::vector<std::string> reasons = {};  ///< of the first of these: "a/b is a symbolic link"

  /// "12 files, 3456 bytes; 1 left out: a/b is a symbolic link"
  std::string to_string() const;
};

/// The shared folder at `path`, for copy_share(): opened before a guest runs, since one that shares
/// a folder above it may put a link in its place. Errors: kHost: it is not there.
Result<UniqueFd> open_share(const std::string& path);

/// Copies what is in the open folder `from` into the open folder `to`, which is empty and nobody
/// else's to write. Errors: kHost: `to` takes no more; then some of it may have been copied.
Result<ShareCopy> copy_share(int from, int to, const ShareLimits& limits = {});

}  // namespace gpuvm
