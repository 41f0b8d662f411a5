// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the ACPI table VFCT, in which a firmware leaves the option ROMs of AMD's cards. Two
// bytes: the function that is looked for; then the table. What must hold: an image is a part of the
// table, an end.
#include <algorithm>
#include <vector>

#include "tests/fuzz/input.hpp"
#include "vmm/host/pci_rom.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::Input input(data, size);
  const auto bus = input.byte();
  const auto devfn = input.byte();
  const gpuvm::Bdf bdf{.segment = 0,
                       .bus = bus,
                       .device = static_cast<std::uint8_t>(devfn >> 3),
                       .function = static_cast<std::uint8_t>(devfn & 7)};
  const auto table = input.rest(size);
  const auto image = gpuvm::find_vfct_image(table, bdf);
  gpuvm::fuzz::must(image.empty() || std::search(table.begin(), table.end(), image.begin(),
                                                 image.end()) != table.end(),
                    "an image is a part of the table");
  return 0;
}
