// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a driver on the PCI transport of a virtio device: configuration space, the common
// configuration structure, interrupts, doorbells, rings in guest memory, and what the host does
// meanwhile (pause, reset, another size of the disk). What must hold: checked_guest.hpp, the
// contract of queue backends and what a driver has activated (synchronous_queues.hpp).
#include <bit>

#include "tests/fuzz/machine/virtio_under_fuzz.hpp"
#include "tests/fuzz/quiet.hpp"

namespace gpuvm {
namespace {

using fuzz::Access;
using fuzz::CheckedGuest;
using fuzz::Input;
using fuzz::VirtioUnderFuzz;

constexpr unsigned kMostSteps = 200;

struct VirtioGuest {
  CheckedGuest guest{fuzz::kept_ranges()};
  BarSpace space = fuzz::make_bar_space();
  const GuestMemory& memory = fuzz::fresh_memory();
  VirtioUnderFuzz virtio{memory, guest, space};
};

void use_config(Input& input, VirtioPci& function) {
  const auto place = input.byte();
  const auto offset = static_cast<std::uint16_t>((place & 0x3fU) * 4);
  const auto lanes = (place & 0x80) != 0 ? 0xffffU : ~0U;
  Access access(input);
  if (access.is_write()) {
    function.config_write(offset, static_cast<std::uint32_t>(load_le(access.value(input))), lanes);
  } else {
    static_cast<void>(function.config_read(offset));
  }
}

void use_bar(Input& input, VirtioGuest& world) {
  const auto place = input.byte();
  const std::uint64_t base = world.virtio.function().bars().address(0);
  Access access(input);
  world.guest.access(access, input,
                     base + (place & 7U) * 0x1000U + input.byte() * ((place & 8) != 0 ? 16U : 1U));
}

void write_memory(Input& input, const GuestMemory& memory) {
  const auto at = input.word();
  const auto count = input.byte() % 48U;
  static_cast<void>(memory.write(GuestAddress(at), input.rest(count)));
}

void run(Input input) {
  VirtioGuest world;
  for (unsigned step = 0; step < kMostSteps && !input.empty(); ++step) {
    switch (input.byte() % 8) {
      case 0:
        use_config(input, world.virtio.function());
        break;
      case 1:
        use_bar(input, world);
        break;
      case 2:
        write_memory(input, world.memory);
        break;
      case 3:
        world.virtio.bring_up(input.byte());
        break;
      case 4:
        world.virtio.offer(input);
        break;
      case 5:
        world.virtio.disturb(input.byte());
        break;
      default:
        world.virtio.use_register(input);
    }
    world.virtio.follow();
  }
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::be_quiet();
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
