// SPDX-License-Identifier: Apache-2.0
// MemoryPreparation: gives guest memory its pages and maps it for the devices' DMA (which pins it)
// on a thread of its own, while the guest's kernel already boots. A device cannot reach memory
// before the guest enables it as a bus master: that one register write waits here.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "vmm/machine/host_devices.hpp"
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
  void start();
  /// Blocks until the work is done; false if it failed, and the devices must not reach memory. Any
  /// thread.
  bool wait();

 private:
  void work();

  GuestMemory& memory_;
  HostDevices& devices_;
  std::function<void(Error)> on_failure_;
  std::mutex mutex_;  ///< guards done_ and failed_
  std::condition_variable changed_;
  bool done_ = false;
  bool failed_ = false;
  std::thread thread_;
};

}  // namespace gpuvm
