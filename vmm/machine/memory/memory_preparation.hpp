// SPDX-License-Identifier: Apache-2.0
// MemoryPreparation: gives guest memory its pages and maps it for the devices' DMA (which pins it)
// on threads of its own; the map follows the pages in pieces. Pages come while the devices are
// still reset; the map waits until they have been, since a former owner's DMA might still be under
// way; and meanwhile the guest's kernel already boots. A device cannot reach memory before the
// guest enables it as a bus master: that one register write waits here. It does so with the guest's
// interrupts off and PCI lock held, so that a guest of much memory is better not started before all
// is done (is_prepared_before_start()).
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>

#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/devices/physical_hosts.hpp"
#include "vmm/machine/memory/yielding_threads.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// Guests of more memory start when all of it is mapped. Linux calls a CPU that does not schedule
/// for 20 s a soft lockup (twice kernel.watchdog_thresh), and reports a stall of RCU after 21 s.
/// Small pages take up to 0.27 s a GiB for the memory (one thread) and 0.5 s for pinning: 16 GiB at
/// most 12.3 s, had the guest not used any of that time for its boot.
inline constexpr std::uint64_t kMostMemoryBehindTheGuest = std::uint64_t{16} << 30;

/// Whether a guest of so many bytes waits with its first instruction until its memory is mapped for
/// the devices, instead of with its first bus mastering.
constexpr bool is_prepared_before_start(std::uint64_t memory, PinMemory choice) {
  return choice == PinMemory::kBeforeStart || choice == PinMemory::kEarly ||
         (choice == PinMemory::kAuto && memory > kMostMemoryBehindTheGuest);
}

/// Processors that this process may run on; at least 1.
unsigned usable_cpus();

/// Threads that give so many bytes of memory their pages on so many processors. One for each 128
/// MiB, so that a thread has more to do than its start costs; at most 128, as many as published
/// measurements say still help (docs/hardware-estimate.md, page_floor).
constexpr unsigned prefault_threads(std::uint64_t memory, unsigned cpus) {
  constexpr std::uint64_t kLeastForAThread = std::uint64_t{128} << 20;
  constexpr std::uint64_t kMost = 128;
  const std::uint64_t by_size = memory / kLeastForAThread;
  return static_cast<unsigned>(
      std::clamp<std::uint64_t>(std::min<std::uint64_t>(by_size, cpus), 1, kMost));
}

class MemoryPreparation {
 public:
  /// All that is referred to must outlive this.
  struct Options {
    GuestMemory& memory;
    /// Maps it for the devices, in calls before which it asks whether that is still wanted, and so
    /// waits for what they map. Called once, from the thread. Errors: kCancelled where it was
    /// broken off.
    std::function<Status(const MapIsUnwanted& is_unwanted)> map;
    /// Called once, from the thread, when memory cannot be had or mapped.
    std::function<void(Error)> on_failure;
    /// Called by each of the threads that give pages, whenever it has given some, with no lock
    /// held; may be empty.
    std::function<void()> on_pages = {};
  };
  explicit MemoryPreparation(Options options) : options_(std::move(options)) {}
  /// Breaks the work off, where it has not ended, and waits for the thread's end.
  ~MemoryPreparation();
  MemoryPreparation(const MemoryPreparation&) = delete;
  MemoryPreparation& operator=(const MemoryPreparation&) = delete;

  /// Starts to give the memory its pages; once. Errors: kHost; wait() is false then.
  Status start() GPUVM_EXCLUDES(mutex_);
  /// The devices were reset (no stray DMA of a former owner): once the pages are there, they are
  /// mapped. Any thread; returns at once.
  void allow_mapping() GPUVM_EXCLUDES(mutex_);
  /// Blocks until the work is done or broken off; false unless all memory is mapped: the devices
  /// must not reach it then. Any thread.
  bool wait() GPUVM_EXCLUDES(mutex_);
  /// Nobody will want the memory any more: who waits is let go, and of the work what has begun is
  /// finished (one mapping of at most a GiB) and the rest left out. Any thread; returns at once.
  void break_off() GPUVM_EXCLUDES(mutex_);
  /// Blocks until the thread touches memory and devices no more. Not with start() at once.
  void wait_for_end();

 private:
  void run() GPUVM_EXCLUDES(mutex_);
  Status prepare() GPUVM_EXCLUDES(mutex_);
  Status map_pages() GPUVM_EXCLUDES(mutex_);
  void give_pages() GPUVM_EXCLUDES(mutex_);
  void note_pages(std::uint64_t bytes) GPUVM_EXCLUDES(mutex_);
  Status wait_until_allowed() GPUVM_EXCLUDES(mutex_);
  bool wait_for_pages(std::uint64_t end) GPUVM_EXCLUDES(mutex_);
  /// A thread that is idle is made to hurry by one with its rights: the kernel lets none do it that
  /// has fewer (Linux, security/commoncap.c, cap_safe_nice()), as a vCPU's, which waits.
  void hurry_when_awaited() GPUVM_EXCLUDES(mutex_);
  void finish(bool is_mapped) GPUVM_EXCLUDES(mutex_);

  const Options options_;
  YieldingThreads threads_;
  std::atomic<bool> is_unwanted_{false};
  std::atomic<bool> has_failed_{false};  ///< to map: no more pages are needed
  Mutex mutex_;
  Condition changed_;
  Condition more_pages_;
  std::uint64_t pages_ GPUVM_GUARDED_BY(mutex_) = 0;  ///< bytes from the start that are there
  bool pages_are_done_ GPUVM_GUARDED_BY(mutex_) = false;
  Status pages_outcome_ GPUVM_GUARDED_BY(mutex_);
  bool is_awaited_ GPUVM_GUARDED_BY(mutex_) = false;
  bool is_done_ GPUVM_GUARDED_BY(mutex_) = false;  ///< or broken off
  bool may_map_ GPUVM_GUARDED_BY(mutex_) = false;
  bool is_mapped_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread hurrier_;
  std::thread thread_;
};

}  // namespace gpuvm
