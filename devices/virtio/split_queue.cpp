// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/split_queue.hpp"

#include <atomic>
#include <bit>
#include <cstring>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

using virtio::Descriptor;

/// One 16-bit field of a ring, shared with the guest's CPUs; the rings are aligned to at least 2.
std::atomic_ref<std::uint16_t> field(std::span<std::byte> ring, std::size_t offset) {
  return std::atomic_ref<std::uint16_t>(
      *reinterpret_cast<std::uint16_t*>(ring.subspan(offset, sizeof(std::uint16_t)).data()));
}

/// A copy, made once: the guest may change the original while we think.
Descriptor load_descriptor(std::span<const std::byte> table, std::uint32_t index) {
  Descriptor copy;
  std::memcpy(&copy, table.subspan(std::size_t{index} * sizeof copy, sizeof copy).data(),
              sizeof copy);
  return copy;
}

Result<std::span<std::byte>> ring_memory(const GuestMemory& memory, std::string_view what,
                                         GuestAddress at, std::uint64_t size,
                                         std::uint64_t alignment) {
  const auto bytes = memory.slice(at, size);
  if (!bytes || !is_aligned(at.value(), alignment)) {
    return fail(ErrorKind::kGuest, "The {} at {:#x} is {}", what, at.value(),
                bytes ? "not aligned" : "outside memory");
  }
  return *bytes;
}

}  // namespace

Result<SplitQueue> SplitQueue::create(const GuestMemory& memory, const SplitQueueSetup& setup,
                                      const QueuePosition& position) {
  if (!std::has_single_bit(setup.size) || setup.size > virtio::kMaxQueueSize) {
    return fail(ErrorKind::kGuest, "A queue of {} entries is impossible", setup.size);
  }
  constexpr std::uint64_t kFrame = virtio::kRingEntries + sizeof(std::uint16_t);  // with the event
  SplitQueue queue(memory, setup);
  queue.descriptors_ =
      TRY(ring_memory(memory, "descriptor table", setup.descriptors,
                      setup.size * virtio::kDescriptorSize, virtio::kDescriptorAlignment));
  queue.available_ = TRY(ring_memory(memory, "available ring", setup.available,
                                     kFrame + setup.size * virtio::kAvailableEntrySize,
                                     virtio::kAvailableAlignment));
  queue.used_ =
      TRY(ring_memory(memory, "used ring", setup.used, kFrame + setup.size * virtio::kUsedEntrySize,
                      virtio::kUsedAlignment));
  queue.state_ = {.next_available = position.next_available,
                  .next_used = position.next_used,
                  .interrupted_at = position.next_used};
  return queue;
}

std::uint16_t SplitQueue::available_index() const {
  // Acquire: the entries that it counts are read after it (2.7.13.3).
  return field(available_, virtio::kRingIndex).load(std::memory_order_acquire);
}

Result<bool> SplitQueue::pop(DescriptorChain& chain) {
  const std::uint16_t index = available_index();
  const auto waiting = static_cast<std::uint16_t>(index - state_.next_available);
  if (waiting == 0) {
    return false;
  }
  if (waiting > setup_.size) {
    return fail(ErrorKind::kGuest, "{} chains are available in a queue of {}", waiting,
                setup_.size);
  }
  const std::size_t slot = state_.next_available % setup_.size;
  chain.readable.clear();
  chain.writable.clear();
  chain.head = field(available_, virtio::kRingEntries + slot * virtio::kAvailableEntrySize)
                   .load(std::memory_order_relaxed);
  TRY(walk(chain.head, chain));
  ++state_.next_available;
  return true;
}

/// 2.7.5 and 2.7.5.3.1: the buffers of a chain are at most as many as the queue has entries, so a
/// loop ends here. The one descriptor that may name an indirect table does not count.
Status SplitQueue::walk(std::uint16_t head, DescriptorChain& chain) const {
  Table table{.bytes = descriptors_, .entries = setup_.size, .is_indirect = false};
  std::uint32_t index = head;
  for (std::uint32_t left = setup_.size; left > 0;) {
    if (index >= table.entries) {
      return fail(ErrorKind::kGuest, "Descriptor {} of a table of {} is named", index,
                  table.entries);
    }
    const Descriptor descriptor = load_descriptor(table.bytes, index);
    if ((descriptor.flags & virtio::kDescriptorIndirect) != 0) {
      if (table.is_indirect || !setup_.indirect ||
          (descriptor.flags & virtio::kDescriptorNext) != 0) {
        return fail(ErrorKind::kGuest, "Descriptor {} may not be indirect", index);
      }
      table = TRY(indirect_table(descriptor));
      index = 0;
      continue;
    }
    TRY(add_buffer(descriptor, chain));
    --left;
    if ((descriptor.flags & virtio::kDescriptorNext) == 0) {
      return {};
    }
    index = descriptor.next;
  }
  return fail(ErrorKind::kGuest, "The chain at descriptor {} has no end", head);
}

Result<SplitQueue::Table> SplitQueue::indirect_table(const Descriptor& descriptor) const {
  const auto bytes = memory_->slice(GuestAddress(descriptor.address), descriptor.length);
  if (!bytes || descriptor.length == 0 || descriptor.length % virtio::kDescriptorSize != 0) {
    return fail(ErrorKind::kGuest, "An indirect table of {} bytes at {:#x} is impossible",
                descriptor.length, descriptor.address);
  }
  const auto entries = static_cast<std::uint32_t>(descriptor.length / virtio::kDescriptorSize);
  return Table{.bytes = *bytes, .entries = entries, .is_indirect = true};
}

Status SplitQueue::add_buffer(const Descriptor& descriptor, DescriptorChain& chain) const {
  const bool writable = (descriptor.flags & virtio::kDescriptorWrite) != 0;
  if (!writable && chain.writable.size() > 0) {  // 2.7.4.2
    return fail(ErrorKind::kGuest, "A chain has a buffer to read after one to write");
  }
  if (descriptor.length == 0) {
    return {};
  }
  const auto bytes = memory_->slice(GuestAddress(descriptor.address), descriptor.length);
  if (!bytes) {
    return fail(ErrorKind::kGuest, "A buffer of {} bytes at {:#x} is outside memory",
                descriptor.length, descriptor.address);
  }
  auto& buffer = writable ? chain.writable : chain.readable;
  buffer.append(*bytes);
  if (chain.readable.size() + chain.writable.size() > std::uint64_t{1} << 32) {  // 2.7.5.2
    return fail(ErrorKind::kGuest, "A chain has more than 4 GiB");
  }
  return {};
}

void SplitQueue::push(std::span<const virtio::UsedElement> elements) {
  for (const auto& element : elements) {
    const std::size_t slot = state_.next_used % setup_.size;
    std::memcpy(used_.subspan(virtio::kRingEntries + slot * sizeof element, sizeof element).data(),
                &element, sizeof element);
    ++state_.next_used;
  }
  // Release: element and buffers are visible before the index that announces them (2.7.8.2).
  field(used_, virtio::kRingIndex).store(state_.next_used, std::memory_order_release);
}

bool SplitQueue::must_interrupt() {
  // The driver writes its wish, then looks at our index; we wrote the index, now look at its wish.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  const std::uint16_t before = std::exchange(state_.interrupted_at, state_.next_used);
  const auto pushed = static_cast<std::uint16_t>(state_.next_used - before);
  if (pushed == 0) {
    return false;
  }
  if (!setup_.event_index) {
    const auto flags = field(available_, virtio::kRingFlags).load(std::memory_order_relaxed);
    return (flags & virtio::kAvailableNoInterrupt) == 0;
  }
  // 2.7.7: when the index passes used_event.
  const std::size_t place = virtio::kRingEntries + setup_.size * virtio::kAvailableEntrySize;
  const auto event = field(available_, place).load(std::memory_order_relaxed);
  return static_cast<std::uint16_t>(state_.next_used - event - 1) < pushed;
}

bool SplitQueue::want_doorbell(bool wanted) {
  if (setup_.event_index) {
    // 2.7.10: the driver rings when its index passes avail_event, which stays behind until moved.
    if (!wanted) {
      return false;
    }
    const std::size_t place = virtio::kRingEntries + setup_.size * virtio::kUsedEntrySize;
    field(used_, place).store(state_.next_available, std::memory_order_relaxed);
  } else {
    field(used_, virtio::kRingFlags)
        .store(wanted ? 0 : virtio::kUsedNoNotify, std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return wanted && available_index() != state_.next_available;
}

}  // namespace gpuvm
