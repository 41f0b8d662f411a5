// SPDX-License-Identifier: Apache-2.0
// CopyDevice: a virtio device for tests, which copies what it reads to what it writes. A test can
// hold its requests inside.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "devices/virtio/request_device.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm::test {

class CopyDevice : public RequestDevice {
 public:
  CopyDevice() {
    for (std::size_t i = 0; i < identity_.config_size; ++i) {
      config_.define(i, 1, i);
    }
  }
  std::string_view name() const override { return "copy"; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t features) override { features_ = features; }
  Result<Execution> execute(QueueRequest& request) override {
    DescriptorChain& chain = request.chain;
    MutexLock lock(mutex_);
    ++entered_;
    changed_.notify_all();
    while (held_) {
      changed_.wait(lock);
    }
    std::vector<std::byte> bytes(chain.readable.size());
    if (bytes.empty()) {
      return fail(ErrorKind::kGuest, "Nothing to copy");
    }
    chain.readable.take(bytes);
    ++left_;
    return Execution::done(static_cast<std::uint32_t>(chain.writable.fill(bytes)));
  }
  void inspect(InspectNode&) const override {}

  /// Requests wait inside until released.
  void hold(bool held) {
    const MutexLock lock(mutex_);
    held_ = held;
    changed_.notify_all();
  }
  bool wait_entered(unsigned count) {
    MutexLock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (entered_ < count) {
      if (!changed_.wait_until(lock, end)) {
        return entered_ >= count;
      }
    }
    return true;
  }
  unsigned left() {
    const MutexLock lock(mutex_);
    return left_;
  }
  std::uint64_t features_ = 0;

 private:
  const Identity identity_{.type = 2,
                           .class_code = 0x018000,
                           .features = 0x40,
                           .queues = 1,
                           .queue_size = 64,
                           .config_size = 60};
  DeviceConfig config_{60};
  Mutex mutex_;
  Condition changed_;
  bool held_ GPUVM_GUARDED_BY(mutex_) = false;
  unsigned entered_ GPUVM_GUARDED_BY(mutex_) = 0;
  unsigned left_ GPUVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace gpuvm::test
