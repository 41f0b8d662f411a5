// SPDX-License-Identifier: Apache-2.0
// Fuzz target: an option ROM. Images lie in the bytes, one behind the other; fitting leaves a ROM
// that parses to the same images, with the ids asked for.
#include <cstdint>
#include <cstdlib>
#include <vector>

#include "firmware/rom/option_rom.hpp"
#include "firmware/rom/rom_fit.hpp"

namespace {

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gpuvm;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto rom = OptionRom::parse(bytes);
  if (!rom) {
    require(rom.error().kind() == ErrorKind::kConfig);
    return 0;
  }
  require(!rom->images.empty() && rom->end() <= size);
  std::size_t next = rom->begin();
  for (const auto& image : rom->images) {
    require(image.offset == next && image.length >= 512);
    next += image.length;
  }
  const RomIds ids{rom->images.front().vendor, 0x4711};
  std::vector<std::byte> fitted(bytes.begin(), bytes.end());
  if (fit_rom(fitted, ids, ids, RomCheck::kCorrect)) {
    const auto again = OptionRom::parse(fitted);
    require(again && again->begin() == 0 && again->images.size() == rom->images.size());
    for (const auto& image : again->images) {
      require(image.is_for(ids.vendor, ids.device));
    }
  }
  static_cast<void>(fit_rom(fitted, ids, ids, RomCheck::kStrict));
  return 0;
}
