// SPDX-License-Identifier: Apache-2.0
// A guest's queue of an entropy device, made of the input. Byte 0: bit 0 indirect descriptors, bit
// 1 event index; byte 1: log2 of the queue's size modulo 4; byte 2: what time passes between turns.
// The rest, from byte 4 on, is the start of guest memory: the descriptor table at 0, the available
// ring at 0x80, the used ring at 0x100. What must hold: no access outside guest memory (sanitizer),
// the rules of served_queue.hpp, no more bytes than the rate allows, an end.
#include <cstring>

#include "devices/virtio/rng/rng_device.hpp"
#include "tests/fuzz/served_queue.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kTurns = 8;

void run(const GuestMemory& memory, const SplitQueueSetup& setup, std::uint64_t step_ms) {
  std::uint64_t filled = 0;
  RngDevice::Clock::time_point now(std::chrono::seconds(1));
  RngDevice::Options options{.name = "rng"};
  options.bytes_per_second = 64 << 10;
  options.burst = RngDevice::kMostOfRequest;
  options.fill = [&filled](std::span<std::byte> out) -> Status {
    std::memset(out.data(), 0x5a, out.size());
    filled += out.size();
    return {};
  };
  options.now = [&now] { return now; };
  const std::uint64_t rate = options.bytes_per_second;
  const std::uint64_t burst = options.burst;
  const auto device = RngDevice::create(std::move(options)).value();
  device->start(0);
  fuzz::ServedQueue queue(memory, 0, setup, 0);
  for (unsigned i = 0; i < kTurns && queue.serve(*device); ++i) {
    now += std::chrono::milliseconds(step_ms);
    fuzz::require(device->event_source()->serve(POLLIN).has_value(), "time breaks nothing");
  }
  device->finish();
  fuzz::require(queue.open() == 0, "every buffer is given back");
  fuzz::require(filled <= burst + kTurns * step_ms * rate / 1000, "the rate is kept");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 4) {
    return 0;
  }
  const auto& memory = gpuvm::fuzz::memory_with(std::span(data, size).subspan(4));
  gpuvm::run(memory, gpuvm::fuzz::setup_of(data[0], data[1]), data[2]);
  return 0;
}
