// SPDX-License-Identifier: Apache-2.0
// PortInput: what the host says to a guest by a port with a name, until the guest has read it.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// Any thread.
class PortInput {
 public:
  static constexpr std::size_t kMost = 65536;  ///< bytes that wait

  /// Errors: kHost.
  static Result<std::unique_ptr<PortInput>> create();

  /// Takes all of it; false: there is no room, and nothing was taken. Never waits.
  bool add(std::string_view text) GPUVM_EXCLUDES(mutex_);

  // For the device.
  /// Readable when something was added.
  const EventFd& event() const { return event_; }
  /// Moves what waits to the front of `out`; returns how much.
  std::size_t read(std::span<std::byte> out) GPUVM_EXCLUDES(mutex_);

 private:
  explicit PortInput(EventFd event) : event_(std::move(event)) {}

  EventFd event_;
  Mutex mutex_;
  std::string waiting_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
