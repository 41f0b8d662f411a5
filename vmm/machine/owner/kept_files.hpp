// SPDX-License-Identifier: Apache-2.0
// KeptFiles: the files that an owner opens and replaces for a monitor that reaches no path. What is
// in them is nothing to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/output_file.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {

/// One thread.
class KeptFiles {
 public:
  static constexpr std::size_t kMost = 16;

  /// As Owner::declare_file().
  Result<std::uint32_t> declare(const std::string& path, FileUse use);
  /// A new file in the old one's place, so that there is a whole one at any time: made below the
  /// folder that the path led to when it was declared, never through a link; for its owner alone to
  /// read; locked (fcntl(2), F_OFD_SETLK) as the old one was. Errors: kHost.
  Status replace(std::uint32_t file, std::span<const std::byte> contents);
  /// As Owner::open_file().
  Result<UniqueFd> open(std::uint32_t file) const;

 private:
  struct File {
    std::string path;
    FileUse use = FileUse::kRead;
    std::optional<OutputPlace> place = {};  ///< of one to replace
    UniqueFd lock = {};                     ///< the file that replace() has made
  };
  std::vector<File> files_;
};

}  // namespace gpuvm
