// SPDX-License-Identifier: Apache-2.0
// InitrdFile: an initial RAM disk that is read straight into guest memory, without a copy in
// between: it can be as large as the guest.
// Missing: several files one after another (concatenate them beforehand).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm/base/file.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class InitrdFile {
 public:
  /// Opens a regular file that is not empty. Errors: kConfig naming it.
  static Result<InitrdFile> open(const std::string& path, const FileOpener& opener = {});

  const std::string& path() const { return path_; }
  /// Bytes, as of open().
  std::uint64_t size() const { return size_; }
  /// Fills `out` (of size() bytes) from the start of the file. Errors: kConfig, also when the file
  /// has become shorter.
  Status read_into(std::span<std::byte> out) const;

 private:
  InitrdFile(std::string path, UniqueFd fd, std::uint64_t size)
      : path_(std::move(path)), fd_(std::move(fd)), size_(size) {}

  std::string path_;
  UniqueFd fd_;
  std::uint64_t size_;
};

}  // namespace gpuvm
