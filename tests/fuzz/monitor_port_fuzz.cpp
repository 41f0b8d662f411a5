// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a guest on the port by which its EFI firmware talks to the monitor. The input is
// steps: commands and bytes to the port, reads of it, bytes of the variable block in memory, with
// or without a right checksum. What must hold: a reason that is passed on is short and printable,
// what is kept of the variables is sound whatever the block was, an answer is one of the protocol.
#include <vector>

#include "firmware/efi/embedded_image.hpp"
#include "firmware/efi/monitor_port.hpp"
#include "firmware/efi/variable_store.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/quiet.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/boot/handover_boot.hpp"

namespace gpuvm {
namespace {

using fuzz::Input;
using fuzz::must;

constexpr unsigned kMostSteps = 300;
constexpr std::size_t kLongestFailure = 600;

/// As large as the firmware needs.
const GuestMemory& port_memory() {
  static const auto memory = std::make_unique<GuestMemory>(
      GuestMemory::create({.size = align_up(efi::embedded_image_header().memory_end, 2_MiB)})
          .value());
  return *memory;
}

std::span<std::byte> block_of(const GuestMemory& memory) {
  return memory
      .slice(GuestAddress(efi::embedded_image_header().variables), efi::VariableStore::kBlockSize)
      .value();
}

/// A byte: bit 0 a new, empty store; bit 1 with a right checksum at the end.
void change_block(Input& input, std::span<std::byte> block) {
  const auto how = input.byte();
  if ((how & 1) != 0) {
    efi::VariableStore(block.data()).format();
  }
  const std::size_t at = (how & 4) != 0 ? input.word() : input.byte() & 0x3fU;
  const auto bytes = input.rest(std::min<std::size_t>(how >> 3, block.size() - at));
  std::copy(bytes.begin(), bytes.end(), block.begin() + static_cast<std::ptrdiff_t>(at));
  if ((how & 2) != 0) {
    const auto used = static_cast<std::uint32_t>(load_le(block.subspan(12, 4)) % block.size());
    store_le(block.subspan(12, 4), used);
    store_le(block.subspan(16, 4), 0);
    store_le(block.subspan(16, 4), efi::crc32(block.data(), used));
  }
}

void check_failure(const Error& failure) {
  const std::string text = failure.to_string();
  must(text.size() < kLongestFailure, "a reason is short");
  for (const char character : text) {
    must(character >= ' ' && character <= '~', "a reason is printable");
  }
  must(failure.kind() == ErrorKind::kConfig || failure.kind() == ErrorKind::kInternal,
       "a failure is the kernel's or the firmware's");
}

void run(Input input) {
  const Config config;
  const auto& memory = port_memory();
  const auto block = block_of(memory);
  std::fill(block.begin(), block.end(), std::byte{0});
  HandoverBoot boot(config, memory, check_failure, VariableFile::open("").value());
  for (unsigned step = 0; step < kMostSteps && !input.empty(); ++step) {
    const auto what = input.byte();
    std::array<std::byte, 1> byte{};
    switch (what % 4) {
      case 0:
        change_block(input, block);
        break;
      case 1:
        must(boot.read(0, byte) == IoStatus::kOk && std::to_integer<unsigned>(byte[0]) <= 1,
             "an answer is one of the protocol");
        break;
      case 2:
        byte[0] = static_cast<std::byte>(what >> 2 & 3);
        static_cast<void>(boot.write(0, byte));
        break;
      default:
        byte[0] = static_cast<std::byte>(input.byte());
        static_cast<void>(boot.write(0, byte));
    }
  }
  InspectNode node;
  boot.inspect(node);
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::be_quiet();
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
