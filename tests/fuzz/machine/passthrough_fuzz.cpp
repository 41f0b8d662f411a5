// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a guest on a passed-through function. The input says what function it is
// (hostile_function.hpp, function_under_fuzz.hpp), then, byte by byte, what the guest does: writes
// and reads of configuration space, accesses to wherever its BARs are and elsewhere, and what
// happens to it meanwhile. What must hold: checked_guest.hpp, hostile_function.hpp; a function that
// has gone through a reset of the machine answers with its ids again.
#include <bit>

#include "tests/fuzz/machine/function_under_fuzz.hpp"
#include "tests/fuzz/quiet.hpp"

namespace gpuvm {
namespace {

using fuzz::Access;
using fuzz::CheckedGuest;
using fuzz::FunctionUnderFuzz;
using fuzz::Input;

constexpr unsigned kMostSteps = 200;

/// Registers that do something, by dword, of the card as it is without patches.
constexpr std::uint16_t kRegisters[] = {0x04, 0x0c, 0x10, 0x14, 0x18, 0x20,  0x30,  0x3c,
                                        0x40, 0x44, 0x50, 0x54, 0x58, 0x5c,  0x60,  0x64,
                                        0x70, 0x78, 0x80, 0xb0, 0xb4, 0xb8,  0xd0,  0xd4,
                                        0x00, 0x08, 0x28, 0x34, 0x98, 0x100, 0x158, 0x204};
constexpr std::uint64_t kPlaces[] = {0xe0000000, 0xe0088000, 0xf0000000, 0xf0000800,
                                     0x90000000, 0x80000000, 0xfee00000, 0xc0000000};

std::vector<GuestRange> taken() {
  return {fuzz::guest_range(0, 2_MiB), fuzz::guest_range(0xfec00000, 4096),
          fuzz::guest_range(0xfee00000, 1_MiB)};
}

struct PassthroughGuest {
  explicit PassthroughGuest(Input& input) : function(input, guest, space) {}

  CheckedGuest guest{taken()};
  BarSpace space{{{fuzz::guest_range(0, 2_MiB), "RAM"},
                  {fuzz::guest_range(0xfec00000, 4096), "the I/O APIC"},
                  {fuzz::guest_range(0xfee00000, 1_MiB), "the local APIC"}}};
  FunctionUnderFuzz function;
};

/// Byte enables as a bus has them: of 1, 2 or 4 bytes, aligned.
std::uint32_t lanes_of(const Access& access, unsigned extra) {
  switch (access.size()) {
    case 1:
      return 0xffU << (extra & 3) * 8;
    case 2:
      return 0xffffU << (extra & 1) * 16;
    default:
      return ~0U;
  }
}

void use_registers(Input& input, PassthroughFunction& function) {
  const auto place = input.byte();
  const auto offset = (place & 0x80) != 0 ? static_cast<std::uint16_t>(input.word() & 0xffc)
                                          : kRegisters[place % std::size(kRegisters)];
  Access access(input);
  if (access.is_write()) {
    const auto value = static_cast<std::uint32_t>(load_le(access.value(input)));
    const auto lanes = lanes_of(access, access.extra());
    function.config_write(offset, value << std::countr_zero(lanes), lanes);
  } else {
    static_cast<void>(function.config_read(offset));
  }
}

void use_memory(Input& input, PassthroughGuest& world) {
  const auto place = input.byte();
  const auto& bars = world.function.get()->bars();
  const std::uint64_t base =
      (place & 8) != 0 ? bars.address(place % BarSet::kCount) : kPlaces[place % std::size(kPlaces)];
  Access access(input);
  const std::uint64_t at = base + input.word() * ((place & 0x10) != 0 ? 16U : 1U);
  world.guest.access(access, input, at);
}

void use_ports(Input& input, PassthroughGuest& world) {
  Access access(input);
  const auto port = static_cast<std::uint16_t>(0xe000 + input.byte());
  world.guest.access_port(access, input, port);
}

void run(Input input) {
  PassthroughGuest world(input);
  PassthroughFunction* const function = world.function.get();
  if (function == nullptr) {
    return;
  }
  for (unsigned step = 0; step < kMostSteps && !input.empty(); ++step) {
    switch (input.byte() % 8) {
      case 0:
      case 1:
      case 2:
      case 3:
        use_registers(input, *function);
        break;
      case 4:
      case 5:
        use_memory(input, world);
        break;
      case 6:
        use_ports(input, world);
        break;
      default:
        world.function.disturb(input.byte());
    }
  }
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
