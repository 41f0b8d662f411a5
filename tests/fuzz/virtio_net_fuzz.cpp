// SPDX-License-Identifier: Apache-2.0
// A guest's queues of a network card, made of the input. Byte 0: bit 0 indirect descriptors, bit 1
// event index, bit 2 mergeable receive buffers; byte 1: log2 of the queues' size modulo 4; bytes 2
// and 3: the size of the frames that come. The rest is the start of guest memory: of the receive
// queue the descriptor table at 0, the available ring at 0x80, the used ring at 0x100; of the
// transmit queue the same at 0x200. What must hold: no access outside guest memory (sanitizer), no
// frame to the link that cannot be one, no more written than there is room, every buffer given back
// once, an end.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "devices/virtio/net/net_device.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kMemory = 2_MiB;
constexpr unsigned kMostChains = 64;  ///< of one queue: a ring may be refilled for ever
constexpr unsigned kFrames = 4;

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

/// Takes every second frame at once and lets the others wait; brings a few of one size.
class CheckedLink : public NetworkLink {
 public:
  CheckedLink(const GuestMemory& memory, std::size_t size) : memory_(memory), size_(size) {}
  std::uint64_t offloads() const override { return virtio_net::kOffloads; }
  void set_offloads(std::uint64_t) override {}
  int fd() const override { return 0; }
  Result<Sent> send(std::span<const iovec> frame) override {
    if (is_full_) {
      return Sent::kFull;
    }
    std::uint64_t size = 0;
    const auto host = memory_.regions().front().host;
    for (const auto& piece : frame) {
      const auto* const first = static_cast<const std::byte*>(piece.iov_base);
      require(first >= host.data() && piece.iov_len <= host.size() &&
                  first + piece.iov_len <= host.data() + host.size(),
              "a frame is in guest memory");
      size += piece.iov_len;
    }
    require(size >= virtio_net::kHeaderSize + virtio_net::kEthernetHeader &&
                size <= virtio_net::kMostFrame,
            "a frame has the size of one");
    is_full_ = true;
    return Sent::kSent;
  }
  bool has_unsent() const override { return is_full_; }
  Status flush() override {
    is_full_ = false;
    return {};
  }
  Result<std::size_t> receive(std::span<std::byte> frame) override {
    if (left_ == 0) {
      return fail(ErrorKind::kHost, "gone");
    }
    --left_;
    std::memset(frame.data(), 0x5a, size_);
    return size_;
  }
  void inspect(InspectNode&) const override {}

 private:
  const GuestMemory& memory_;
  const std::size_t size_;
  bool is_full_ = false;
  unsigned left_ = kFrames;
};

/// One queue, served as InProcessQueues does it, on this thread.
class Served : private RequestSink {
 public:
  Served(std::size_t index, SplitQueue queue) : index_(index), queue_(std::move(queue)) {}

  /// False: the guest broke a rule.
  bool serve(NetDevice& device) {
    for (unsigned i = 0; i < kMostChains; ++i) {
      RequestSink* const sink = this;
      auto request = std::make_unique<QueueRequest>(sink, index_);
      const auto popped = queue_.pop(request->chain);
      if (!popped || open_ >= queue_.setup().size) {
        return false;
      }
      if (!*popped) {
        return true;
      }
      requests_.push_back(std::move(request));
      ++open_;
      const auto executed = device.execute(*requests_.back());
      if (!executed) {
        --open_;
        return false;
      }
      if (executed->is_done) {
        requests_.back()->complete(executed->written);
      }
    }
    return true;
  }
  std::size_t open() const { return open_; }

 private:
  void complete(std::span<const Completion> completions) override {
    std::vector<virtio::UsedElement> used;
    for (const auto& completion : completions) {
      require(completion.written <= completion.request->chain.writable.size(),
              "no more is written than there is room");
      used.push_back({.id = completion.request->chain.head, .length = completion.written});
    }
    require(used.size() <= open_, "a buffer is given back once");
    open_ -= used.size();
    queue_.push(used);
    queue_.must_interrupt();
  }
  void release(QueueRequest&) override {
    require(open_ > 0, "a buffer is given back once");
    --open_;
    queue_.unpop();
  }
  const std::size_t index_;
  SplitQueue queue_;
  std::size_t open_ = 0;
  std::vector<std::unique_ptr<QueueRequest>> requests_;
};

Served make_queue(const GuestMemory& memory, std::size_t index, SplitQueueSetup setup,
                  std::uint64_t at) {
  setup.descriptors = GuestAddress(at);
  setup.available = GuestAddress(at + 0x80);
  setup.used = GuestAddress(at + 0x100);
  auto queue = SplitQueue::create(memory, setup);
  require(queue.has_value(), "the setup is good");
  return {index, std::move(queue).value()};
}

void run(const GuestMemory& memory, const SplitQueueSetup& setup, std::uint64_t features,
         std::size_t frame) {
  CheckedLink link(memory, std::min(frame, virtio_net::kMostFrame));
  NetDevice device({.name = "net", .mac = {}, .mtu = {}, .link = link, .on_link_lost = {}});
  device.start(features);
  Served receive = make_queue(memory, virtio_net::kReceiveQueue, setup, 0);
  Served transmit = make_queue(memory, virtio_net::kTransmitQueue, setup, 0x200);
  for (unsigned i = 0; i < kFrames + 1; ++i) {
    if (!receive.serve(device) || !transmit.serve(device)) {
      break;
    }
    const pollfd wanted = device.event_source()->wanted();
    if (wanted.events != 0) {
      require(device.event_source()->serve(wanted.events).has_value(), "a frame breaks nothing");
    }
  }
  device.finish();
  require(receive.open() == 0 && transmit.open() == 0, "every buffer is given back");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using gpuvm::GuestAddress;
  if (size < 4) {
    return 0;
  }
  static const auto memory = std::make_unique<gpuvm::GuestMemory>(
      gpuvm::GuestMemory::create({.size = gpuvm::kMemory}).value());
  const auto image = std::as_bytes(std::span(data, size)).subspan(4);
  const auto host = memory->regions().front().host;
  std::memset(host.data(), 0, 64 * 1024);
  memory->write(GuestAddress(0), image.first(std::min<std::size_t>(image.size(), 64 * 1024)));
  const bool is_mergeable = (data[0] & 4) != 0;
  gpuvm::run(*memory,
             {.size = static_cast<std::uint16_t>(1U << data[1] % 4),
              .descriptors = {},
              .available = {},
              .used = {},
              .indirect = (data[0] & 1) != 0,
              .event_index = (data[0] & 2) != 0},
             is_mergeable ? gpuvm::virtio_net::kFeatureMergeable : 0,
             static_cast<std::size_t>(data[2]) << 8 | data[3]);
  return 0;
}
