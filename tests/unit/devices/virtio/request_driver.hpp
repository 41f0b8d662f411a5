// SPDX-License-Identifier: Apache-2.0
// RequestDriver: the driver of a device with up to four queues, in guest memory, on the queues that
// this process serves: no transport, no KVM.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/request_device.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"

namespace gpuvm::test {

class RequestDriver : private QueueListener {
 public:
  static constexpr std::uint64_t kData = 0x100000;
  static constexpr std::uint64_t kApart = 0x4000;  ///< data of one chain; of one queue 64 of them

  explicit RequestDriver(RequestDevice& device, std::uint16_t size = 64)
      : device_(device), queues_(InProcessQueues::create(device).value()) {
    for (std::size_t i = 0; i < device.identity().queues; ++i) {
      rings.emplace_back(memory, size);
      kicks_.push_back(EventFd::create().value());
      for (auto* const at : {&rings.back().setup().descriptors, &rings.back().setup().available,
                             &rings.back().setup().used}) {
        *at = *at + i * 0x10000;
      }
    }
    positions_.resize(rings.size());
  }
  ~RequestDriver() override { stop(); }
  RequestDriver(const RequestDriver&) = delete;
  RequestDriver& operator=(const RequestDriver&) = delete;

  void start(std::uint64_t features = ~std::uint64_t{0}) {
    const auto accepted = features & device_.identity().features;
    device_.start(accepted);
    std::vector<QueueBackend::Queue> queues;
    for (std::size_t i = 0; i < rings.size(); ++i) {
      queues.push_back({.index = i,
                        .setup = rings[i].setup(),
                        .position = positions_[i],
                        .kick = kicks_[i].fd()});
    }
    const auto status = queues_->start(
        {.memory = memory, .features = accepted, .queues = queues, .listener = *this});
    ASSERT_TRUE(status) << status.error().to_string();
    runs_ = true;
  }
  void stop() {
    if (std::exchange(runs_, false)) {
      positions_ = queues_->stop();
    }
  }
  const QueuePosition& position(std::size_t queue) const { return positions_[queue]; }

  std::uint64_t place(std::size_t queue, std::uint16_t head) const {
    return kData + (queue * 64 + head) * kApart;
  }
  /// A buffer for the device to write, in a chain of one.
  void add_buffer(std::size_t queue, std::uint16_t head, std::uint32_t size) {
    rings[queue].descriptor(
        head, {.address = place(queue, head), .length = size, .flags = virtio::kDescriptorWrite});
    rings[queue].offer(head);
  }
  /// One for it to read.
  void add_text(std::size_t queue, std::uint16_t head, std::string_view text) {
    memory.write(GuestAddress(place(queue, head)),
                 std::as_bytes(std::span(text.data(), text.size())));
    rings[queue].descriptor(
        head, {.address = place(queue, head), .length = static_cast<std::uint32_t>(text.size())});
    rings[queue].offer(head);
  }
  void kick(std::size_t queue) { kicks_[queue].signal(); }
  /// What the device wrote into the used entry's buffer.
  std::string text_of_used(std::size_t queue, std::uint16_t index) const {
    const auto used = rings[queue].used(index);
    std::string text(used.length, '\0');
    memory.read(GuestAddress(place(queue, static_cast<std::uint16_t>(used.id))),
                std::as_writable_bytes(std::span(text.data(), text.size())));
    return text;
  }

  bool wait_used(std::size_t queue, std::uint16_t index) {
    return wait([&] { return rings[queue].used_index() == index; });
  }
  bool wait_broken() {
    return wait([&] {
      mutex_.assert_held();
      return broken_;
    });
  }
  template <class Holds>
  bool wait(Holds holds) {
    MutexLock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (!holds()) {
      if (!changed_.wait_until(lock, end)) {
        return holds();
      }
    }
    return true;
  }
  /// The same for what nobody tells of.
  template <class Holds>
  static bool wait_until(Holds holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }
  /// Wakes who waits, for what is no interrupt.
  void tell() {
    const MutexLock lock(mutex_);
    changed_.notify_all();
  }

  GuestMemory memory = make_memory(8_MiB);
  std::vector<RingDriver> rings;

 private:
  void queue_used(std::size_t) override { tell(); }
  void queues_broken(const Error&) override {
    const MutexLock lock(mutex_);
    broken_ = true;
    changed_.notify_all();
  }
  RequestDevice& device_;
  std::vector<EventFd> kicks_;
  std::vector<QueuePosition> positions_;
  bool runs_ = false;
  Mutex mutex_;
  Condition changed_;
  bool broken_ GPUVM_GUARDED_BY(mutex_) = false;
  std::unique_ptr<InProcessQueues> queues_;
};

}  // namespace gpuvm::test
