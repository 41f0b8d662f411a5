// SPDX-License-Identifier: Apache-2.0
// A guest's queues of a network card, made of the input. Byte 0: bit 0 indirect descriptors, bit 1
// event index, bit 2 mergeable receive buffers; byte 1: log2 of the queues' size modulo 4; bytes 2
// and 3: the size of the frames that come. The rest is the start of guest memory: of the receive
// queue the descriptor table at 0, the available ring at 0x80, the used ring at 0x100; of the
// transmit queue the same at 0x200. What must hold: no access outside guest memory (sanitizer), no
// frame to the link that cannot be one, the rules of served_queue.hpp, an end.
#include <cstring>

#include "devices/virtio/net/net_device.hpp"
#include "tests/fuzz/served_queue.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kFrames = 4;

using fuzz::require;

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

void run(const GuestMemory& memory, const SplitQueueSetup& setup, std::uint64_t features,
         std::size_t frame) {
  CheckedLink link(memory, std::min(frame, virtio_net::kMostFrame));
  NetDevice device({.name = "net", .mac = {}, .mtu = {}, .link = link, .on_link_lost = {}});
  device.start(features);
  fuzz::ServedQueue receive(memory, virtio_net::kReceiveQueue, setup, 0);
  fuzz::ServedQueue transmit(memory, virtio_net::kTransmitQueue, setup, 0x200);
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
  if (size < 4) {
    return 0;
  }
  const auto& memory = gpuvm::fuzz::memory_with(std::span(data, size).subspan(4));
  const bool is_mergeable = (data[0] & 4) != 0;
  gpuvm::run(memory, gpuvm::fuzz::setup_of(data[0], data[1]),
             is_mergeable ? gpuvm::virtio_net::kFeatureMergeable : 0,
             static_cast<std::size_t>(data[2]) << 8 | data[3]);
  return 0;
}
