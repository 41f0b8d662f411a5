// SPDX-License-Identifier: Apache-2.0
// FwCfgFile: a file of the host, or a part of one, as an item of fw_cfg; read when the guest asks,
// straight into its memory.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "devices/platform/fw_cfg.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class FwCfgFile : public FwCfgItem {
 public:
  /// Opens a regular file of less than 4 GiB. what: "the kernel", for messages. Errors: kConfig.
  static Result<FwCfgFile> open(const std::string& path, const std::string& what);

  /// The same file's bytes [offset, offset + size), which must be inside.
  FwCfgFile part(std::uint64_t offset, std::uint64_t size) const;

  std::uint64_t size() const override { return size_; }
  /// False, with a line in the log (rate-limited), when the file has become shorter or cannot be
  /// read.
  bool read(std::uint64_t offset, std::span<std::byte> out) const override;

 private:
  struct Opened {
    Opened(std::string name, UniqueFd file) : path(std::move(name)), fd(std::move(file)) {}
    const std::string path;
    const UniqueFd fd;
    mutable log::RateLimit limit;
  };
  FwCfgFile(std::shared_ptr<const Opened> file, std::uint64_t offset, std::uint64_t size)
      : file_(std::move(file)), offset_(offset), size_(size) {}

  std::shared_ptr<const Opened> file_;
  std::uint64_t offset_;
  std::uint64_t size_;
};

}  // namespace gpuvm
