// SPDX-License-Identifier: Apache-2.0
// VarsFile: the user's file behind a flash chip of UEFI variables. Each change of the guest is one
// pwrite of one byte or one page-aligned block, in the guest's order, so that a killed monitor
// leaves what a power failure leaves in a chip: the state between two changes, which the firmware
// is made to recover from. A lock (open file description, as fcntl(2) has it) keeps a second guest
// away.
// Missing: a barrier after each change. When the host itself loses power, what its page cache held
// is gone, in any order; sync() and the end of the run write it out.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "devices/platform/cfi_flash.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class VarsFile : public FlashStore {
 public:
  /// Larger files are no variable stores.
  static constexpr std::uint64_t kLargest = 16ULL * 1024 * 1024;

  /// The file as it is: read whole, nothing written. Errors: kConfig (absent, no regular file,
  /// read-only, too large, in use by another guest).
  static Result<std::unique_ptr<VarsFile>> open(const std::string& path);
  /// Makes the file with these contents, all at once; as open() if somebody else did meanwhile.
  /// Errors: kConfig (it cannot be created), and those of open().
  static Result<std::unique_ptr<VarsFile>> create(const std::string& path,
                                                  std::span<const std::byte> contents);
  ~VarsFile() override;

  const std::string& path() const { return path_; }
  /// As of open() or create().
  const std::vector<std::byte>& contents() const { return contents_; }

  bool keep(std::uint64_t offset, std::span<const std::byte> bytes) override;
  /// Everything kept so far is on the disk.
  void sync();

 private:
  VarsFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  Status lock();
  Status load();

  const std::string path_;
  const UniqueFd fd_;
  std::vector<std::byte> contents_;
  log::RateLimit limit_{1};
};

}  // namespace gpuvm
