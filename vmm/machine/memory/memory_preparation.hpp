// SPDX-License-Identifier: Apache-2.0
// MemoryPreparation: gives guest memory its pages and maps it for the devices' DMA (which pins it)
// on a thread of its own, while the guest's kernel already boots. A device cannot reach memory
// before the guest enables it as a bus master: that one register write waits here.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/memory/background_threads.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class MemoryPreparation {
 public:
  /// on_failure: called once, from the thread, when memory cannot be had or mapped. All must
  /// outlive this.
  MemoryPreparation(GuestMemory& memory, HostDevices& devices,
                    std::function<void(Error)> on_failure);
  /// Waits for the thread's end.
  ~MemoryPreparation();
  MemoryPreparation(const MemoryPreparation&) = delete;
  MemoryPreparation& operator=(const MemoryPreparation&) = delete;

  /// Starts the work; once, after the devices were reset (no stray DMA of a former owner). Control
  /// thread.
  /// Errors: kHost; wait() is false then.
  Status start();
  /// Blocks until the work is done; false if it failed, and the devices must not reach memory. Any
  /// thread.
  bool wait();
  /// Nobody will want the memory any more: like wait(), but what has not begun is left out.
  void break_off();

 private:
  void run();
  Status prepare();
  void finish(bool is_mapped);

  GuestMemory& memory_;
  HostDevices& devices_;
  std::function<void(Error)> on_failure_;
  BackgroundThreads threads_;
  std::atomic<bool> is_unwanted_{false};
  std::mutex mutex_;  ///< guards what comes before the thread
  std::condition_variable changed_;
  bool is_done_ = false;
  bool is_mapped_ = false;
  std::thread thread_;
};

}  // namespace gpuvm
