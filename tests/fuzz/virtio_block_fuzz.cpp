// SPDX-License-Identifier: Apache-2.0
// A guest's queue of block requests, made of the input. Byte 0: bit 0 indirect descriptors, bit 1
// event index; byte 1: log2 of the queue's size modulo 4. The rest is the start of guest memory,
// with the descriptor table at 0, the available ring at 0x80, the used ring at 0x100. What must
// hold: no access outside guest memory (sanitizer) or the disk, chains no longer than the queue, an
// end.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "devices/virtio/block/block_device.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kMemory = 2_MiB;
constexpr std::uint64_t kDiskSize = 64_KiB;
constexpr unsigned kMostChains = 64;  ///< of one input: a ring may be refilled for ever

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

class CheckedDisk : public Disk {
 public:
  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t offset, std::span<const iovec> pieces) override {
    for (const auto& piece : pieces) {
      check(offset, piece.iov_len);
      std::memset(piece.iov_base, 0x5a, piece.iov_len);
      offset += piece.iov_len;
    }
    return {};
  }
  Status write(std::uint64_t offset, std::span<const iovec> pieces) override {
    for (const auto& piece : pieces) {
      check(offset, piece.iov_len);
      offset += piece.iov_len;
    }
    return {};
  }
  Status flush() override { return {}; }
  Status discard(std::uint64_t offset, std::uint64_t length) override {
    check(offset, length);
    return {};
  }
  Status write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap) override {
    check(offset, length);
    return {};
  }

 private:
  static void check(std::uint64_t offset, std::uint64_t length) {
    require(offset <= kDiskSize && length <= kDiskSize - offset, "an access outside the disk");
  }
  const Geometry geometry_{.size = kDiskSize};
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

void run(const GuestMemory& memory, const SplitQueueSetup& setup) {
  auto queue = SplitQueue::create(memory, setup);
  require(queue.has_value(), "the setup is good");
  CheckedDisk disk;
  BlockDevice device("disk", "serial", disk);
  device.start(device.identity().features);
  QueueRequest request(nullptr, 0);
  const DescriptorChain& chain = request.chain;
  for (unsigned i = 0; i < kMostChains; ++i) {
    const auto popped = queue->pop(request.chain);
    if (!popped || !*popped) {
      break;
    }
    const auto pieces = chain.readable.pieces().size() + chain.writable.pieces().size();
    require(pieces <= setup.size, "a chain is at most as long as the queue");
    require(in_memory(memory, chain.readable) && in_memory(memory, chain.writable),
            "buffers are in guest memory");
    const std::uint64_t room = chain.writable.size();
    const auto executed = device.execute(request);
    if (!executed) {
      break;
    }
    require(executed->is_done && executed->written <= room,
            "no more is written than there is room");
    queue->push(chain.head, executed->written);
    queue->must_interrupt();
    queue->want_doorbell(i % 2 == 0);
  }
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gpuvm::GuestAddress;
  if (size < 2) {
    return 0;
  }
  static const auto memory = std::make_unique<gpuvm::GuestMemory>(
      gpuvm::GuestMemory::create({.size = gpuvm::kMemory}).value());
  const auto image = std::as_bytes(std::span(data, size)).subspan(2);
  const auto host = memory->regions().front().host;
  std::memset(host.data(), 0, 64 * 1024);
  memory->write(GuestAddress(0), image.first(std::min<std::size_t>(image.size(), 64 * 1024)));
  gpuvm::run(*memory, {.size = static_cast<std::uint16_t>(1U << data[1] % 4),
                       .descriptors = GuestAddress(0),
                       .available = GuestAddress(0x80),
                       .used = GuestAddress(0x100),
                       .indirect = (data[0] & 1) != 0,
                       .event_index = (data[0] & 2) != 0});
  return 0;
}
