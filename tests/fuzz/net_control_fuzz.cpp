// SPDX-License-Identifier: Apache-2.0
// A guest's control queue of a network card, made of the input. Byte 0: bit 0 indirect descriptors,
// bit 1 event index; byte 1: log2 of the queue's size modulo 4; byte 2: pairs of the card, modulo
// 8, plus 1. The rest is the start of guest memory: the descriptor table at 0, the available ring
// at 0x80, the used ring at 0x100. What must hold: no access outside guest memory (sanitizer), no
// number of pairs that the card does not have, one byte of answer, a rate, an end.
#include "devices/virtio/net/control_queue.hpp"
#include "devices/virtio/net/net_spec.hpp"
#include "tests/fuzz/guest_input.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kMostCommands = 64;  ///< a ring may be refilled for ever

using fuzz::require;

void serve(const GuestMemory& memory, const SplitQueueSetup& setup, std::uint16_t most) {
  auto queue = SplitQueue::create(memory, setup);
  require(queue.has_value(), "the setup is good");
  const NetControl control(most, [most](std::uint16_t pairs) {
    require(pairs >= 1 && pairs <= most, "the pairs are the card's");
    return pairs % 3 == 0 ? Status(fail(ErrorKind::kHost, "no")) : Status();
  });
  DescriptorChain chain;
  for (unsigned i = 0; i < kMostCommands; ++i) {
    const auto popped = queue->pop(chain);
    if (!popped || !*popped) {
      return;
    }
    const auto room = chain.writable.size();
    const auto written = control.execute(chain);
    if (!written) {
      return;
    }
    require(*written == 1 && *written <= room, "an answer is a byte that has room");
    queue->push(chain.head, *written);
    queue->must_interrupt();
  }
}

/// The same as a device serves it: never faster than it may, and with an end.
void serve_at_a_rate(const GuestMemory& memory, const SplitQueueSetup& setup, std::uint16_t most) {
  ControlQueue::Clock::time_point now{};
  unsigned used = 0;
  const auto queue = ControlQueue::create({.most_pairs = most,
                                           .use_pairs =
                                               [&used](std::uint16_t) {
                                                 ++used;
                                                 return Status();
                                               },
                                           .now = [&now] { return now; }});
  require(queue.has_value(), "there is a timer");
  (*queue)->start(SplitQueue::create(memory, setup).value(), -1);
  for (unsigned second = 0; second < 4; ++second) {
    const unsigned before = used;
    if (!(*queue)->serve([] { return false; })) {
      break;
    }
    require(used - before <= ControlQueue::kMostAtOnce + 1, "commands have a rate");
    now += std::chrono::seconds(1);
  }
  (*queue)->stop();
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) {
    return 0;
  }
  const auto& memory = gpuvm::fuzz::memory_with(std::span(data, size).subspan(3));
  const gpuvm::SplitQueueSetup setup = gpuvm::fuzz::setup_of(data[0], data[1]);
  const auto most = static_cast<std::uint16_t>(data[2] % 8 + 1);
  gpuvm::serve(memory, setup, most);
  gpuvm::serve_at_a_rate(memory, setup, most);
  return 0;
}
