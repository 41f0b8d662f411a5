// SPDX-License-Identifier: Apache-2.0
// HeldAttribute: an attribute of sysfs that is opened once and read again and again. Threads with a
// role (vmm/sandbox) open nothing, and a guest's access to a register, or its reset, leads here.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm::vfio {

class HeldAttribute {
 public:
  /// `absolute`: "/sys/…". Errors: kHost.
  static Result<HeldAttribute> open(const HostSystem& host, const std::string& absolute);

  /// What it says now, from its beginning; fewer bytes where it ends. Any thread. Errors: kHost;
  /// also where the function has gone.
  Result<std::vector<std::byte>> read_bytes(std::size_t size) const;
  /// The same as text, at most a page (sysfs has no more), trailing white space removed.
  Result<std::string> read() const;
  /// For messages.
  const std::string& path() const { return path_; }

 private:
  HeldAttribute(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  UniqueFd fd_;
  std::string path_;
};

}  // namespace gpuvm::vfio
