// SPDX-License-Identifier: Apache-2.0
// A guest's queue of block requests, made of the input. Byte 0: bit 0 indirect descriptors, bit 1
// event index, bit 2 a disk whose operations end later and in another order, bit 3 one that is not
// trimmed, bit 4 a read-only one, bit 5 a driver without FLUSH, bit 6 a disk that fails; byte 1:
// log2 of the queue's size modulo 4. The rest is the start of guest memory, with the descriptor
// table at 0, the available ring at 0x80, the used ring at 0x100. What must hold: each request is
// answered once; no access outside guest memory (sanitizer) or the disk, chains no longer than the
// queue, an end.
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "devices/virtio/block/block_device.hpp"
#include "tests/fuzz/guest_input.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kDiskSize = 64_KiB;
constexpr unsigned kMostChains = 64;  ///< of one input: a ring may be refilled for ever

using fuzz::require;

struct Variant {
  bool later = false;
  bool keeps_space = false;
  bool read_only = false;
  bool no_flush = false;
  bool fails = false;
};

/// Carries operations out only when it is waited for, the last one first.
class LateQueue : public DiskQueue {
 public:
  explicit LateQueue(Disk& disk) : disk_(disk) {}
  bool add(const DiskOperation& operation, void* tag) override {
    if (open_.size() == 3) {
      return false;
    }
    open_.push_back({operation, tag});
    return true;
  }
  void submit() override {}
  int event() const override { return -1; }
  void wait() override { require(!open_.empty(), "nobody waits for nothing"); }
  void reap(std::vector<Finished>& out) override {
    for (; !open_.empty(); open_.pop_back()) {
      out.push_back({.tag = open_.back().second, .status = disk_.carry_out(open_.back().first)});
    }
  }

 private:
  Disk& disk_;
  std::vector<std::pair<DiskOperation, void*>> open_;
};

class CheckedDisk : public Disk {
 public:
  explicit CheckedDisk(const Variant& variant)
      : variant_(variant),
        geometry_{
            .size = kDiskSize, .read_only = variant.read_only, .discard = !variant.keeps_space} {}
  const Geometry& geometry() const override { return geometry_; }
  std::unique_ptr<DiskQueue> make_queue(unsigned) override {
    return variant_.later ? std::make_unique<LateQueue>(*this) : nullptr;
  }
  Status read(std::uint64_t offset, std::span<const iovec> pieces) override {
    for (const auto& piece : pieces) {
      check(offset, piece.iov_len);
      std::memset(piece.iov_base, 0x5a, piece.iov_len);
      offset += piece.iov_len;
    }
    return answer();
  }
  Status write(std::uint64_t offset, std::span<const iovec> pieces) override {
    require(!variant_.read_only, "a read-only disk is not written");
    for (const auto& piece : pieces) {
      check(offset, piece.iov_len);
      offset += piece.iov_len;
    }
    return answer();
  }
  Status flush() override { return answer(); }
  Status discard(std::uint64_t offset, std::uint64_t length) override {
    require(!variant_.read_only && !variant_.keeps_space, "such a disk is not trimmed");
    check(offset, length);
    return answer();
  }
  Status write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap unmap) override {
    require(!variant_.read_only, "a read-only disk is not written");
    require(unmap == Unmap::kNo || !variant_.keeps_space, "such a disk is not trimmed");
    check(offset, length);
    return answer();
  }

 private:
  static void check(std::uint64_t offset, std::uint64_t length) {
    require(offset <= kDiskSize && length <= kDiskSize - offset, "an access outside the disk");
  }
  Status answer() const {
    return variant_.fails ? Status(fail(ErrorKind::kHost, "broken")) : Status();
  }
  const Variant variant_;
  const Geometry geometry_;
};

/// Gives back what is answered, once each.
class Answers : public RequestSink {
 public:
  explicit Answers(SplitQueue& queue) : queue_(queue) {}
  QueueRequest& take(std::size_t queue) {
    open_.push_back(std::make_unique<QueueRequest>(this, queue));
    return *open_.back();
  }
  /// `room`: of the chain's writable part, before the device took its status off.
  void begun(QueueRequest& request, std::uint64_t room) { rooms_[&request] = room; }
  void complete(std::span<const Completion> completions) override {
    for (const auto& completion : completions) {
      const auto room = rooms_.find(completion.request);
      require(room != rooms_.end(), "a request is answered once");
      require(completion.written <= room->second, "no more is written than there is room");
      queue_.push(completion.request->chain.head, completion.written);
      queue_.must_interrupt();
      rooms_.erase(room);
    }
  }
  void release(QueueRequest&) override { require(false, "a disk releases nothing"); }
  std::size_t open() const { return rooms_.size(); }

 private:
  SplitQueue& queue_;
  std::vector<std::unique_ptr<QueueRequest>> open_;
  std::map<QueueRequest*, std::uint64_t> rooms_;
};

/// Bytes that are in guest memory and in no other place.
bool in_memory(const GuestMemory& memory, const GuestBuffer& buffer) {
  const auto host = memory.regions().front().host;
  for (const auto& piece : buffer.pieces()) {
    const auto* const first = static_cast<const std::byte*>(piece.iov_base);
    if (first < host.data() || piece.iov_len > host.size() ||
        first + piece.iov_len > host.data() + host.size()) {
      return false;
    }
  }
  return true;
}

void run(const GuestMemory& memory, const SplitQueueSetup& setup, const Variant& variant) {
  auto queue = SplitQueue::create(memory, setup);
  require(queue.has_value(), "the setup is good");
  CheckedDisk disk(variant);
  BlockDevice device("disk", "serial", disk, {.queues = 2});
  device.start(device.identity().features &
               (variant.no_flush ? ~virtio_block::kFeatureFlush : ~std::uint64_t{0}));
  Answers answers(*queue);
  for (unsigned i = 0; i < kMostChains; ++i) {
    QueueRequest& request = answers.take(i / 8 % 2);
    const auto popped = queue->pop(request.chain);
    if (!popped || !*popped) {
      break;
    }
    const DescriptorChain& chain = request.chain;
    const auto pieces = chain.readable.pieces().size() + chain.writable.pieces().size();
    require(pieces <= setup.size, "a chain is at most as long as the queue");
    require(in_memory(memory, chain.readable) && in_memory(memory, chain.writable),
            "buffers are in guest memory");
    answers.begun(request, chain.writable.size());
    const auto executed = device.execute(request);
    if (!executed) {
      break;
    }
    if (executed->is_done) {
      request.complete(executed->written);
    }
    if (i % 4 == 3) {
      device.end_batch(request.queue());
    }
    queue->want_doorbell(i % 2 == 0);
  }
  device.leave_queue(0);
  device.leave_queue(1);
  require(answers.open() <= 1, "all is answered, but for what makes no sense");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const auto& memory = gpuvm::fuzz::memory_with(std::span(data, size).subspan(2));
  gpuvm::run(memory, gpuvm::fuzz::setup_of(data[0], data[1]),
             {.later = (data[0] & 4) != 0,
              .keeps_space = (data[0] & 8) != 0,
              .read_only = (data[0] & 16) != 0,
              .no_flush = (data[0] & 32) != 0,
              .fails = (data[0] & 64) != 0});
  return 0;
}
