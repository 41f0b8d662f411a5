// SPDX-License-Identifier: Apache-2.0
// FakeVcpu: a VirtualCpu whose guest does one thing again and again.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/kvm/virtual_cpu.hpp"

namespace gpuvm::test {

class FakeVcpu : public VirtualCpu {
 public:
  /// What its guest does, once a call; a value ends run() by itself.
  using Guest = std::function<std::optional<VcpuEvent>(PortBus& ports, MmioBus& mmio)>;

  /// Without `guest` it is halted.
  explicit FakeVcpu(std::uint32_t index, Guest guest = {})
      : index_(index), guest_(std::move(guest)) {}

  std::uint32_t index() const override { return index_; }
  Status set_entry_state(const CpuEntryState& state) override {
    entry = state.rip;
    return {};
  }
  VcpuEvent run(PortBus& ports, MmioBus& mmio) override {
    ++runs;
    while (!is_kicked()) {
      if (guest_) {
        if (const auto event = guest_(ports, mmio)) {
          return *event;
        }
      } else {
        halt();
      }
    }
    return VcpuEvent::kInterrupted;
  }
  void kick() override {
    const MutexLock lock(mutex_);
    is_kicked_ = true;
    changed_.notify_all();
  }
  void clear_kick() override {
    const MutexLock lock(mutex_);
    is_kicked_ = false;
  }
  Status tell_of_pause() override {
    ++pauses_told;
    return pause_status;
  }
  const std::string& failure() const override { return failure_; }

  std::atomic<std::uint64_t> entry{0};
  std::atomic<int> runs{0};
  std::atomic<int> pauses_told{0};
  Status pause_status;

 private:
  bool is_kicked() {
    const MutexLock lock(mutex_);
    return is_kicked_;
  }
  void halt() {
    MutexLock lock(mutex_);
    while (!is_kicked_) {
      changed_.wait(lock);
    }
  }

  const std::uint32_t index_;
  const Guest guest_;
  const std::string failure_ = "it failed";
  Mutex mutex_;
  Condition changed_;
  bool is_kicked_ GPUVM_GUARDED_BY(mutex_) = false;
};

}  // namespace gpuvm::test
