// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the whole machine as a guest has it, without KVM and without a host: platform
// devices, PCI hierarchy, a virtio disk on bus 0, a hostile passed-through function behind a root
// port whose bus the guest resets. The input is what function that is, then what the guest does,
// byte by byte, and what happens to it meanwhile. What must hold: checked_guest.hpp,
// hostile_function.hpp, synchronous_queues.hpp, platform_under_fuzz.hpp; and in the end everything
// can be taken out of the guest.
#include "tests/fuzz/machine/function_under_fuzz.hpp"
#include "tests/fuzz/machine/pci_hierarchy.hpp"
#include "tests/fuzz/machine/platform_under_fuzz.hpp"
#include "tests/fuzz/machine/virtio_under_fuzz.hpp"
#include "tests/fuzz/quiet.hpp"

namespace gpuvm {
namespace {

using fuzz::Access;
using fuzz::Input;
using fuzz::must;

constexpr unsigned kMostSteps = 250;

/// Slots may not be where the machine's own things are; the flash has one of its own.
struct WholeMachine {
  explicit WholeMachine(Input& input) : function(input, guest, space) {
    must(hierarchy.topology().add(0x80, virtio.function()), "bus 0 has room");
    if (function.get() == nullptr) {
      return;
    }
    must(hierarchy.port().attach(0, *function.get()), "and so has the port");
    hierarchy.set_on_bus_reset([this] {
      function.begin_bus_reset();
      function.end_bus_reset(true);
    });
  }

  fuzz::CheckedGuest guest{fuzz::kept_ranges()};
  const GuestMemory& memory = fuzz::fresh_memory();
  BarSpace space = fuzz::make_bar_space();
  fuzz::PlatformUnderFuzz platform{memory, guest};
  fuzz::PciHierarchy hierarchy{guest, space, &platform.reset_port()};
  fuzz::VirtioUnderFuzz virtio{memory, guest, space};
  fuzz::FunctionUnderFuzz function;
};

void use_addresses(Input& input, WholeMachine& world) {
  static constexpr std::uint64_t kPlaces[] = {fuzz::kEcamBase, 0xe0100000,  0xe0080000, 0xe0008000,
                                              0x90000000,      0x90003000,  0x90004000, 0xf0000000,
                                              0xc0000000,      0x800000000, 0xffff0000, 0xb0000000,
                                              0xfee00000,      0x00000000,  0x00200000, 0xfeffc000};
  const auto place = input.byte();
  std::uint64_t base = kPlaces[place % std::size(kPlaces)];
  if ((place & 0x10) != 0) {
    base = (place & 0x20) != 0 ? world.virtio.function().bars().address(0)
                               : world.function.get()->bars().address(place % 7U);
  }
  Access access(input);
  world.guest.access(access, input, base + input.word());
}

void disturb(Input& input, WholeMachine& world) {
  const auto what = input.byte();
  switch (what % 4) {
    case 0:
      world.platform.disturb(input);
      break;
    case 1:
      world.virtio.disturb(static_cast<std::uint8_t>(what >> 2));
      break;
    case 2:
      world.function.disturb(input.byte());
      break;
    default:  // the machine's reset, device by device, as its worker does it
      world.function.disturb(2);
      world.virtio.disturb(2);
      world.hierarchy.reset();
      world.platform.reset();
  }
}

void step(Input& input, WholeMachine& world) {
  switch (input.byte() % 16) {
    case 0:
    case 1:
      world.platform.use_port(input);
      break;
    case 2:
      world.platform.use_dma(input);
      break;
    case 3:
      world.platform.use_flash(input);
      break;
    case 4:
    case 5:
    case 6:
      use_addresses(input, world);
      break;
    case 7:
      world.virtio.bring_up(input.byte());
      break;
    case 8:
      world.virtio.offer(input);
      break;
    case 9:
      world.virtio.use_register(input);
      break;
    case 10: {
      const auto at = input.word();
      const auto count = input.byte() % 48U;
      static_cast<void>(world.memory.write(GuestAddress(at), input.rest(count)));
      break;
    }
    case 11:
      disturb(input, world);
      break;
    default:
      world.hierarchy.use(input);
  }
}

void run(Input input) {
  WholeMachine world(input);
  if (world.function.get() == nullptr) {
    return;
  }
  for (unsigned i = 0; i < kMostSteps && !input.empty(); ++i) {
    step(input, world);
    world.virtio.follow();
  }
  world.platform.look();
  world.hierarchy.look();
  world.function.look();
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::be_quiet();
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
