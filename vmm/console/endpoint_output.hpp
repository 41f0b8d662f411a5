// SPDX-License-Identifier: Apache-2.0
// EndpointOutput: the bytes on their way to one place of the serial console. Writes them at once
// where the descriptor takes them, keeps the rest in order. A serial port brings single bytes:
// those are held until their line ends, or for some milliseconds, so that each is no system call of
// its own.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "vmm/base/mutex.hpp"
#include "vmm/console/byte_ring.hpp"

namespace gpuvm {

/// SIGPIPE does nothing from here on, if it was not handled: a reader that leaves must not end the
/// guest.
void ignore_broken_pipes();

/// Any thread, except where noted.
class EndpointOutput {
 public:
  enum class Progress {
    kDone,     ///< nothing waits, or nobody is there to read
    kWaiting,  ///< call push_waiting() once the descriptor is writable
    kLost,     ///< the reader is gone
    kHeld,     ///< call push_held() in some milliseconds
  };

  explicit EndpointOutput(std::size_t capacity) : waiting_(capacity) {}

  /// Output goes to this non-blocking descriptor from now on; it stays the caller's and must be
  /// detached before it is closed.
  void attach(int fd);
  /// Output is kept for the next reader.
  void detach();
  /// False before attach(), after detach(), and once the reader is gone.
  bool attached() const;
  /// Output is discarded from now on.
  void discard();

  /// kWaiting and kHeld are only returned when nobody was told so before: one each suffices.
  Progress write(std::span<const std::byte> bytes);
  /// How much write() takes now without forgetting anything; all that there is where nobody reads.
  std::size_t room() const;
  /// For the one that was told to wait.
  Progress push_waiting();
  /// For the one that was told that bytes are held, and at the end; never kHeld.
  Progress push_held();
  /// Waits and writes until nothing waits any more, the reader is gone or the deadline has passed.
  void flush(std::chrono::steady_clock::time_point deadline);

  struct Counts {
    std::uint64_t written = 0;
    std::uint64_t dropped = 0;  ///< the reader was too slow, or gone
    std::uint64_t waiting = 0;
  };
  Counts counts() const;

 private:
  bool may_hold(std::span<const std::byte> bytes) const GPUVM_REQUIRES(mutex_);
  Progress push_locked() GPUVM_REQUIRES(mutex_);
  /// What the descriptor took; less than all when it is full or (then fd_ is -1) gone.
  std::size_t write_some(std::span<const std::byte> bytes) GPUVM_REQUIRES(mutex_);

  mutable Mutex mutex_;  ///< also for the order of the output
  ByteRing waiting_ GPUVM_GUARDED_BY(mutex_);
  int fd_ GPUVM_GUARDED_BY(mutex_) = -1;
  bool socket_ GPUVM_GUARDED_BY(mutex_) = false;
  bool discard_ GPUVM_GUARDED_BY(mutex_) = false;
  bool waiter_ GPUVM_GUARDED_BY(mutex_) = false;
  bool holder_ GPUVM_GUARDED_BY(mutex_) = false;  ///< somebody will call push_held()
  Counts counts_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
