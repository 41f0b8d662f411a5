// SPDX-License-Identifier: Apache-2.0
// ResultFile: a file in a folder that the guest writes to, read when the guest is gone. The guest
// made all of it: no symbolic link is followed, nothing outside the folder is reached, and only a
// small regular file is opened. One that is there before the run, and is not written in it, says
// nothing.
#pragma once

#include <chrono>
#include <cstdint>
#include <ctime>
#include <memory>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class ResultFile {
 public:
  static constexpr std::uint64_t kMostBytes = 4096;

  /// `folder`: of the host; `path`: from there, as the configuration has checked it. Before the
  /// guest runs. Errors: kConfig (no such folder), kHost (no openat2(2), Linux 5.6).
  static Result<std::unique_ptr<ResultFile>> open(const std::string& folder, std::string path);

  struct Line {
    std::string text = {};  ///< without its line break
    /// When the file was last changed, by the host's clock (a network's file system has one of its
    /// own). A guest cannot set this time.
    std::chrono::system_clock::time_point written = {};
  };
  /// The first line; nothing: the guest wrote no such file. Errors: kGuest, what it made of it.
  Result<std::optional<Line>> first_line() const;

 private:
  /// The same as long as nobody writes to the file or replaces it.
  struct Stamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    timespec changed = {};
  };
  ResultFile(UniqueFd folder, std::string path)
      : folder_(std::move(folder)), path_(std::move(path)) {}
  Result<UniqueFd> find() const;
  Result<std::string> read(int found) const;
  static std::optional<Stamp> stamp_of(int file);
  bool is_of_before(int found) const;

  const UniqueFd folder_;
  const std::string path_;
  std::optional<Stamp> before_ = {};
};

}  // namespace gpuvm
