// SPDX-License-Identifier: Apache-2.0
// NetDriver: the driver of a network device, with its two queues in guest memory, on the queues
// that this process serves: no transport, no KVM.
#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/net/net_device.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"

namespace gpuvm::test {

/// A frame of `size` bytes behind its header, with a pattern that differs by `seed`.
inline std::vector<std::byte> make_frame(std::size_t size, unsigned seed = 1) {
  std::vector<std::byte> frame(virtio_net::kHeaderSize + size);
  for (std::size_t i = virtio_net::kHeaderSize; i < frame.size(); ++i) {
    frame[i] = static_cast<std::byte>(i * 7 + seed + i / 251);
  }
  return frame;
}

inline std::vector<std::byte> without_header(std::vector<std::byte> frame) {
  frame.erase(frame.begin(), frame.begin() + virtio_net::kHeaderSize);
  return frame;
}

class NetDriver : private QueueListener {
 public:
  static constexpr std::uint64_t kTransmitRings = 0x10000;
  static constexpr std::uint64_t kReceiveData = 0x100000;
  static constexpr std::uint64_t kTransmitData = 0x200000;

  explicit NetDriver(NetDevice& device, std::uint16_t size = 128)
      : receive(memory_, size),
        transmit(memory_, size),
        device_(device),
        queues_(InProcessQueues::create(device).value()) {
    for (auto* const at :
         {&transmit.setup().descriptors, &transmit.setup().available, &transmit.setup().used}) {
      *at = *at + kTransmitRings;
    }
  }
  ~NetDriver() override { stop(); }

  void start(std::uint64_t features = ~std::uint64_t{0}) {
    const auto accepted = features & device_.identity().features;
    device_.start(accepted);
    const std::array<QueueBackend::Queue, 2> queues{{{.index = virtio_net::kReceiveQueue,
                                                      .setup = receive.setup(),
                                                      .position = positions_[0],
                                                      .kick = kicks_[0].fd()},
                                                     {.index = virtio_net::kTransmitQueue,
                                                      .setup = transmit.setup(),
                                                      .position = positions_[1],
                                                      .kick = kicks_[1].fd()}}};
    const auto status = queues_->start(
        {.memory = memory_, .features = accepted, .queues = queues, .listener = *this});
    ASSERT_TRUE(status) << status.error().to_string();
    runs_ = true;
  }
  void stop() {
    if (std::exchange(runs_, false)) {
      const auto positions = queues_->stop();
      std::copy(positions.begin(), positions.end(), positions_.begin());
    }
  }

  /// Gives the device `count` buffers of `size` bytes, each in a chain of one.
  void add_buffers(std::uint16_t count, std::uint32_t size) {
    for (std::uint16_t i = 0; i < count; ++i) {
      receive.descriptor(buffers_, {.address = kReceiveData + buffers_ * kApart,
                                    .length = size,
                                    .flags = virtio::kDescriptorWrite});
      receive.offer(buffers_++);
    }
    kicks_[0].signal();
  }
  /// Sends bytes that begin with the header, in chains of two.
  void send(const std::vector<std::byte>& frame, std::uint16_t head = 0) {
    const std::uint64_t at = kTransmitData + head * kApart;
    memory_.write(GuestAddress(at), frame);
    const auto half = static_cast<std::uint32_t>(frame.size() / 2);
    transmit.chain(
        head, {{.address = at, .length = half},
               {.address = at + half, .length = static_cast<std::uint32_t>(frame.size()) - half}});
    transmit.offer(head);
  }
  void kick_transmit() { kicks_[1].signal(); }
  void kick_receive() { kicks_[0].signal(); }

  bool wait_used(const RingDriver& ring, std::uint16_t index) {
    return wait([&] { return ring.used_index() == index; });
  }
  bool wait_broken() {
    return wait([&] {
      mutex_.assert_held();
      return broken_;
    });
  }
  /// What the used entries [first, first + count) of the receive queue hold, behind each other.
  std::vector<std::byte> received(std::uint16_t first, std::uint16_t count) {
    std::vector<std::byte> bytes;
    for (std::uint16_t i = first; i < first + count; ++i) {
      const auto used = receive.used(i);
      std::vector<std::byte> part(used.length);
      memory_.read(GuestAddress(kReceiveData + used.id * kApart), part);
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
    return bytes;
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
  /// Wakes who waits, for what is no interrupt.
  void tell() {
    const MutexLock lock(mutex_);
    changed_.notify_all();
  }

 private:
  static constexpr std::uint64_t kApart = 0x1000;
  GuestMemory memory_ = make_memory(4_MiB);

 public:
  RingDriver receive;
  RingDriver transmit;

 private:
  void queue_used(std::size_t) override { tell(); }
  void queues_broken(const Error&) override {
    const MutexLock lock(mutex_);
    broken_ = true;
    changed_.notify_all();
  }
  NetDevice& device_;
  std::array<EventFd, 2> kicks_{EventFd::create().value(), EventFd::create().value()};
  std::array<QueuePosition, 2> positions_{};
  bool runs_ = false;
  std::uint16_t buffers_ = 0;
  Mutex mutex_;
  Condition changed_;
  bool broken_ GPUVM_GUARDED_BY(mutex_) = false;
  std::unique_ptr<InProcessQueues> queues_;
};

}  // namespace gpuvm::test
