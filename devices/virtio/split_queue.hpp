// SPDX-License-Identifier: Apache-2.0
// SplitQueue: the device's side of a split virtqueue (VIRTIO 1.2, 2.7) in guest memory. All of it
// is hostile: every descriptor is read once, chains are bounded by the queue's size, every address
// is checked. A ring that breaks the rules is an error, after which the queue is not to be used
// until the driver has set it up again. Missing: packed rings, VIRTIO_F_IN_ORDER's batches, access
// through an IOMMU (VIRTIO_F_ACCESS_PLATFORM).
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "devices/virtio/guest_buffer.hpp"
#include "devices/virtio/virtio_spec.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// What a driver made available: buffers that the device reads, then those that it writes.
struct DescriptorChain {
  std::uint16_t head = 0;  ///< index of the first descriptor, which names the chain
  GuestBuffer readable;
  GuestBuffer writable;
};

/// Where a driver put the queue.
struct SplitQueueSetup {
  std::uint16_t size = 0;  ///< entries, a power of two
  GuestAddress descriptors;
  GuestAddress available;  ///< "driver area"
  GuestAddress used;       ///< "device area"
  bool indirect = false;   ///< VIRTIO_F_INDIRECT_DESC was negotiated
  bool event_index = false;
  bool operator==(const SplitQueueSetup&) const = default;
};

/// How far a device has come in a queue: entries that it has taken and given back, modulo 2^16.
struct QueuePosition {
  std::uint16_t next_available = 0;
  std::uint16_t next_used = 0;
  bool operator==(const QueuePosition&) const = default;
};

/// Not synchronised: one thread at a time.
class SplitQueue {
 public:
  /// `memory` must outlive the queue. Errors: kGuest naming what the driver did wrong (size, place
  /// or alignment).
  static Result<SplitQueue> create(const GuestMemory& memory, const SplitQueueSetup& setup,
                                   const QueuePosition& position = {});

  /// Takes the next chain into `chain`, whose memory is used again; false: the driver has made no
  /// more available. Errors: kGuest, the ring is broken.
  Result<bool> pop(DescriptorChain& chain);
  /// Takes back the last pop() that is not yet taken back: its chain comes again.
  void unpop() { --state_.next_available; }
  /// Gives a chain back: the device has written the first `written` bytes of its writable part.
  void push(std::uint16_t head, std::uint32_t written) {
    const virtio::UsedElement element{.id = head, .length = written};
    push({&element, 1});
  }
  /// The same for several, of which the driver sees all or none yet.
  void push(std::span<const virtio::UsedElement> elements);
  /// True if the driver wants to be told of what was pushed since the last call.
  bool must_interrupt();
  /// Says whether the driver is to ring for buffers that it makes available from now on. When
  /// `wanted`, true means that some came meanwhile, for which it has not rung: pop() again.
  bool want_doorbell(bool wanted);

  const SplitQueueSetup& setup() const { return setup_; }
  QueuePosition position() const {
    return {.next_available = state_.next_available, .next_used = state_.next_used};
  }

 private:
  struct State {
    std::uint16_t next_available = 0;
    std::uint16_t next_used = 0;
    std::uint16_t interrupted_at = 0;  ///< next_used at the last must_interrupt()
  };
  /// Descriptors that a chain goes through: the queue's table or an indirect one.
  struct Table {
    std::span<const std::byte> bytes;
    std::uint32_t entries = 0;
    bool is_indirect = false;
  };

  SplitQueue(const GuestMemory& memory, const SplitQueueSetup& setup)
      : memory_(&memory), setup_(setup) {}
  Status walk(std::uint16_t head, DescriptorChain& chain) const;
  Status add_buffer(const virtio::Descriptor& descriptor, DescriptorChain& chain) const;
  Result<Table> indirect_table(const virtio::Descriptor& descriptor) const;
  std::uint16_t available_index() const;

  const GuestMemory* memory_;
  SplitQueueSetup setup_;
  std::span<std::byte> descriptors_;
  std::span<std::byte> available_;
  std::span<std::byte> used_;
  State state_;
};

}  // namespace gpuvm
