// SPDX-License-Identifier: Apache-2.0
// RingDriver: the driver's side of a split virtqueue in guest memory, for tests: it obeys the
// specification unless told otherwise, and every byte can be spoilt.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "devices/virtio/split_queue.hpp"
#include "vmm/base/units.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm::test {

inline GuestMemory make_memory(std::uint64_t size = 2_MiB) {
  return GuestMemory::create({.size = size}).value();
}

class RingDriver {
 public:
  static constexpr std::uint64_t kDescriptors = 0x1000;
  static constexpr std::uint64_t kAvailable = 0x3000;
  static constexpr std::uint64_t kUsed = 0x4000;

  explicit RingDriver(GuestMemory& memory, std::uint16_t size = 8)
      : memory_(memory),
        setup_{.size = size,
               .descriptors = GuestAddress(kDescriptors),
               .available = GuestAddress(kAvailable),
               .used = GuestAddress(kUsed),
               .indirect = true} {}

  const SplitQueueSetup& setup() const { return setup_; }
  SplitQueueSetup& setup() { return setup_; }

  template <class T>
  void put(std::uint64_t at, T value) {
    memory_.write(GuestAddress(at), std::as_bytes(std::span<const T, 1>(&value, 1)));
  }
  template <class T>
  T get(std::uint64_t at) const {
    T value{};
    memory_.read(GuestAddress(at), std::as_writable_bytes(std::span<T, 1>(&value, 1)));
    return value;
  }

  void descriptor(std::uint32_t index, const virtio::Descriptor& descriptor) {
    put(setup_.descriptors.value() + index * virtio::kDescriptorSize, descriptor);
  }
  /// Descriptors from `first` on, linked one to the next.
  void chain(std::uint16_t first, std::vector<virtio::Descriptor> descriptors) {
    for (std::size_t i = 0; i < descriptors.size(); ++i) {
      auto& one = descriptors[i];
      if (i + 1 < descriptors.size()) {
        one.flags |= virtio::kDescriptorNext;
        one.next = static_cast<std::uint16_t>(first + i + 1);
      }
      descriptor(static_cast<std::uint32_t>(first + i), one);
    }
  }
  /// Makes the chain at `head` available, 2.7.13.
  void offer(std::uint16_t head) {
    put(setup_.available.value() + 4 + (index_ % setup_.size) * 2U, head);
    set_index(static_cast<std::uint16_t>(index_ + 1));
  }
  void set_index(std::uint16_t index) {
    index_ = index;
    shared(setup_.available.value() + 2).store(index, std::memory_order_release);
  }
  void set_flags(std::uint16_t flags) { shared(setup_.available.value()).store(flags); }
  void set_used_event(std::uint16_t event) {
    shared(setup_.available.value() + 4 + setup_.size * 2U).store(event);
  }
  /// Zeroes the rings, as a driver must before it enables the queue. No device uses them.
  void clear() {
    index_ = 0;
    const std::vector<std::byte> zeroes(4096);
    memory_.write(setup_.available, zeroes);
    memory_.write(setup_.used, zeroes);
  }

  /// Whether the device wants to hear of what was offered, without VIRTIO_F_EVENT_IDX (2.7.13.4).
  bool must_kick() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return (used_flags() & virtio::kUsedNoNotify) == 0;
  }
  std::uint16_t used_index() const {
    return shared(setup_.used.value() + 2).load(std::memory_order_acquire);
  }
  std::uint16_t used_flags() const { return shared(setup_.used.value()).load(); }
  std::uint16_t available_event() const {
    return shared(setup_.used.value() + 4 + setup_.size * 8U).load();
  }
  virtio::UsedElement used(std::uint16_t index) const {
    return get<virtio::UsedElement>(setup_.used.value() + 4 + (index % setup_.size) * 8U);
  }

 private:
  std::atomic_ref<std::uint16_t> shared(std::uint64_t at) const {
    return std::atomic_ref<std::uint16_t>(*reinterpret_cast<std::uint16_t*>(
        memory_.slice(GuestAddress(at), sizeof(std::uint16_t))->data()));
  }

  GuestMemory& memory_;
  SplitQueueSetup setup_;
  std::uint16_t index_ = 0;
};

}  // namespace gpuvm::test
