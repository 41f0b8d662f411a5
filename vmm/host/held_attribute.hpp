// SPDX-License-Identifier: Apache-2.0
// HeldAttribute: an attribute of sysfs that is opened once and read as often as wanted, also by
// threads that may not open files any more. Each read from its start asks the kernel anew (Linux,
// fs/seq_file.c, seq_read_iter(); drivers/pci/pci-sysfs.c, pci_read_config()).
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Any thread.
class HeldAttribute {
 public:
  /// Errors: kHost.
  static Result<HeldAttribute> open(const HostSystem& host, std::string_view absolute);
  /// One that another process has opened, with its name for messages.
  static HeldAttribute adopt(std::string path, UniqueFd fd) {
    return HeldAttribute(std::move(path), std::move(fd));
  }

  /// Its name in messages.
  const std::string& path() const { return path_; }
  /// As HostSystem::read(), up to 4 KiB, which is what the kernel gives at most. Errors: kHost.
  Result<std::string> read() const;
  /// As HostSystem::read_bytes(). Errors: kHost.
  Result<std::vector<std::byte>> read_bytes(std::size_t size) const;
  /// A second descriptor, for adopt() in another process. Errors: kHost.
  Result<UniqueFd> duplicate() const;

 private:
  HeldAttribute(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
};

}  // namespace gpuvm
