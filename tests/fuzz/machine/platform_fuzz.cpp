// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a guest on its platform devices: serial port, clock, ACPI's fixed hardware, reset
// and exit ports, fw_cfg with its DMA, the flash chip of its firmware. What must hold:
// checked_guest.hpp, platform_under_fuzz.hpp.
#include "tests/fuzz/machine/fresh_memory.hpp"
#include "tests/fuzz/machine/platform_under_fuzz.hpp"
#include "tests/fuzz/quiet.hpp"

namespace gpuvm {
namespace {

using fuzz::CheckedGuest;
using fuzz::Input;
using fuzz::PlatformUnderFuzz;

constexpr unsigned kMostSteps = 250;

struct PlatformGuest {
  PlatformGuest() {
    fuzz::must(guest.ports.add({*PortRange::create(kResetPort, 1), &platform.reset_port()}),
               "the reset port has its place");
  }
  CheckedGuest guest{{fuzz::guest_range(0, fuzz::kRamSize)}};
  const GuestMemory& memory = fuzz::fresh_memory();
  PlatformUnderFuzz platform{memory, guest};
};

void run(Input input) {
  PlatformGuest world;
  for (unsigned step = 0; step < kMostSteps && !input.empty(); ++step) {
    switch (input.byte() % 8) {
      case 0:
        world.platform.use_flash(input);
        break;
      case 1:
        world.platform.use_dma(input);
        break;
      case 2: {
        const auto at = input.word();
        const auto count = input.byte() % 32U;
        static_cast<void>(world.memory.write(GuestAddress(at), input.rest(count)));
        break;
      }
      case 3:
        world.platform.disturb(input);
        break;
      default:
        world.platform.use_port(input);
    }
  }
  world.platform.look();
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::be_quiet();
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
