// SPDX-License-Identifier: Apache-2.0
// A guest's queues of a virtio console, made of the input. Byte 0: bit 0 indirect descriptors, bit
// 1 event index; byte 1: log2 of the queues' size modulo 4; bytes 2 and 3: how much is typed, and
// how much the host takes at a time. The rest is the start of guest memory: of the receive queue
// the descriptor table at 0, the available ring at 0x80, the used ring at 0x100; of the transmit
// queue the same at 0x200. What must hold: no access outside guest memory (sanitizer), the rules of
// served_queue.hpp, an end.
#include <cstring>
#include <string>

#include "devices/virtio/console/console_device.hpp"
#include "tests/fuzz/served_queue.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kTurns = 8;

void run(const GuestMemory& memory, const SplitQueueSetup& setup, std::size_t typed,
         std::size_t room) {
  const auto channel = ConsoleChannel::create().value();
  std::size_t left = room;
  channel->connect({.write =
                        [&](std::span<const std::byte> bytes) {
                          fuzz::require(!bytes.empty(), "nothing is no output");
                          if (bytes.size() > VirtioConsole::kMostInARow) {
                            fuzz::require(false, "no more than a turn at once");
                          }
                          const auto taken = std::min(bytes.size(), left);
                          left -= taken;
                          return taken;
                        },
                    .input_ready = {}});
  channel->type(std::vector<std::byte>(typed));
  VirtioConsole device("console", *channel);
  device.start(virtio_console::kFeatureSize);
  fuzz::ServedQueue receive(memory, virtio_console::kReceiveQueue, setup, 0);
  fuzz::ServedQueue transmit(memory, virtio_console::kTransmitQueue, setup, 0x200);
  for (unsigned i = 0; i < kTurns; ++i) {
    left = room;
    if (!receive.serve(device) || !transmit.serve(device)) {
      break;
    }
    channel->resize({.columns = static_cast<std::uint16_t>(i), .rows = 25});
    fuzz::require(device.event_source()->serve(POLLIN).has_value(), "the host breaks nothing");
  }
  device.finish();
  fuzz::require(receive.open() == 0 && transmit.open() == 0, "every buffer is given back");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) {
    return 0;
  }
  const auto& memory = gpuvm::fuzz::memory_with(std::span(data, size).subspan(4));
  gpuvm::run(memory, gpuvm::fuzz::setup_of(data[0], data[1]), static_cast<std::size_t>(data[2]) * 8,
             static_cast<std::size_t>(data[3]) * 64);
  return 0;
}
