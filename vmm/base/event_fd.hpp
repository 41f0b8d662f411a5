// SPDX-License-Identifier: Apache-2.0
// EventFd: a Linux eventfd, non-blocking and close-on-exec (eventfd(2)).
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class EventFd {
 public:
  static Result<EventFd> create();
  int fd() const { return fd_.get(); }
  /// Adds 1. Any thread.
  void signal() const;
  /// Takes the count and resets it; false when it was 0. Never blocks. Any thread.
  bool drain() const;

 private:
  explicit EventFd(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

}  // namespace gpuvm
