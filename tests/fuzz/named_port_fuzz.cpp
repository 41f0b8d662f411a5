// SPDX-License-Identifier: Apache-2.0
// A guest's queues of a virtio port, made of the input. Byte 0: bit 0 indirect descriptors, bit 1
// event index, bit 2 the driver knows of no ports, bit 3 the host says something; byte 1: log2 of
// the queues' size modulo 4. The rest is the start of guest memory: of queue N at N * 0x200 the
// descriptor table, 0x80 further the available ring, 0x100 further the used ring. What must hold:
// no access outside guest memory (sanitizer), the rules of served_queue.hpp, no more passed on than
// a buffer may say, an end.
#include <cstring>
#include <string>

#include "devices/virtio/named_port/named_port_device.hpp"
#include "tests/fuzz/served_queue.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kApart = 0x200;
constexpr unsigned kTurns = 4;
constexpr std::size_t kSaid = 10000;  ///< bytes that the host says

/// What the guest says.
void check_bytes(std::span<const std::byte> bytes) {
  fuzz::require(!bytes.empty(), "nothing is no output");
  fuzz::require(bytes.size() <= NamedPortDevice::kMostOfBuffer, "bounded");
  unsigned sum = 0;
  for (const std::byte byte : bytes) {
    sum += std::to_integer<unsigned>(byte);  // all of it can be read
  }
  fuzz::require(sum <= bytes.size() * 255, "a sum of bytes");
}

void run(const GuestMemory& memory, const SplitQueueSetup& setup, bool has_ports, bool says) {
  const auto input = PortInput::create().value();
  fuzz::require(!says || input->add(std::string(kSaid, 'x')), "there is room");
  std::size_t of_buffer = 0;
  NamedPortDevice device({.name = "port",
                          .port_name = "org.example.port",
                          .host = {.received =
                                       [&](std::span<const std::byte> bytes) {
                                         of_buffer += bytes.size();
                                         fuzz::require(has_ports, "a console says nothing");
                                         check_bytes(bytes);
                                       },
                                   .cut = [] {},
                                   .closed = [] {},
                                   .begun = [] {}},
                          .input = says ? input.get() : nullptr});
  device.start(has_ports ? virtio_named_port::kFeatureMultiport : 0);
  std::vector<std::unique_ptr<fuzz::ServedQueue>> queues;
  for (std::size_t i = 0; i < virtio_named_port::kQueues; ++i) {
    queues.push_back(std::make_unique<fuzz::ServedQueue>(memory, i, setup, i * kApart));
  }
  bool is_well = true;
  for (unsigned turn = 0; turn < kTurns && is_well; ++turn) {
    for (const auto& queue : queues) {
      of_buffer = 0;
      is_well = is_well && queue->serve(device);
      fuzz::require(of_buffer <= fuzz::ServedQueue::kMostChains * NamedPortDevice::kMostOfBuffer,
                    "no more than so many buffers may say");
    }
  }
  device.finish();
  for (const auto& queue : queues) {
    fuzz::require(queue->open() == 0, "every buffer is given back");
  }
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const auto& memory = gpuvm::fuzz::memory_with(std::span(data, size).subspan(2));
  gpuvm::run(memory, gpuvm::fuzz::setup_of(data[0], data[1]), (data[0] & 4) == 0,
             (data[0] & 8) != 0);
  return 0;
}
