// SPDX-License-Identifier: Apache-2.0
// ConsoleChannel: what a virtio console and the host's side of it have between them: what was typed
// and the guest has not read yet, the size of the terminal, and word in both directions that there
// is room again. Nothing in it waits, and nothing is lost in it: whoever finds no room keeps what
// he has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/event_fd.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// In characters; 0: not known.
struct ConsoleSize {
  std::uint16_t columns = 0;
  std::uint16_t rows = 0;
  bool operator==(const ConsoleSize&) const = default;
};

/// Any thread, except where noted.
class ConsoleChannel {
 public:
  /// What was typed and the guest has not read.
  static constexpr std::size_t kMostTyped = 16384;

  /// The host's side. Neither call waits or calls back.
  struct Host {
    /// Takes from the front what there is room for, and returns how much. After less than all,
    /// output_ready() follows once there is more.
    std::function<std::size_t(std::span<const std::byte>)> write;
    /// type() takes more again.
    std::function<void()> input_ready;
  };
  /// Errors: kHost.
  static Result<std::unique_ptr<ConsoleChannel>> create();

  // For the host's side.
  /// Once, before a guest runs.
  void connect(Host host) { host_ = std::move(host); }
  /// Takes what fits and returns how much; after less than all, Host::input_ready follows.
  std::size_t type(std::span<const std::byte> bytes) GPUVM_EXCLUDES(mutex_);
  void output_ready() const { event_.signal(); }
  void resize(ConsoleSize size) GPUVM_EXCLUDES(mutex_);

  // For the device.
  /// Readable when anything here may have changed.
  const EventFd& event() const { return event_; }
  std::size_t write(std::span<const std::byte> bytes) const {
    return host_.write ? host_.write(bytes) : bytes.size();
  }
  /// Moves what was typed to the front of `out`; returns how much.
  std::size_t read(std::span<std::byte> out) GPUVM_EXCLUDES(mutex_);
  ConsoleSize size() const GPUVM_EXCLUDES(mutex_);

 private:
  explicit ConsoleChannel(EventFd event) : event_(std::move(event)) {}

  EventFd event_;
  Host host_;
  mutable Mutex mutex_;
  std::vector<std::byte> typed_ GPUVM_GUARDED_BY(mutex_);
  bool refused_ GPUVM_GUARDED_BY(mutex_) = false;  ///< the host waits for room
  ConsoleSize size_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
