// SPDX-License-Identifier: Apache-2.0
// See rom_fit.hpp.
#include "firmware/rom/rom_fit.hpp"

#include <algorithm>

#include "firmware/rom/option_rom.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kChecksum = 6;

std::byte add(std::byte a, unsigned b) {
  return static_cast<std::byte>((std::to_integer<unsigned>(a) + b) & 0xffU);
}

/// Writes ids over those of an image. Byte 6 of a legacy image takes up the difference.
void write_ids(std::span<std::byte> rom, const RomImage& image, RomIds ids) {
  const auto field = rom.subspan(image.offset + image.data + kRomDataVendor, 4);
  std::vector<std::byte> after(field.size());
  store_le(after, std::uint32_t{ids.vendor} | std::uint32_t{ids.device} << 16);
  unsigned difference = 0;
  for (std::size_t i = 0; i < field.size(); ++i) {
    difference += std::to_integer<unsigned>(field[i]) - std::to_integer<unsigned>(after[i]);
  }
  std::copy(after.begin(), after.end(), field.begin());
  // Ids behind what the checksum covers do not count.
  const auto covered =
      checksummed_length(std::span<const std::byte>(rom).subspan(image.offset, image.length));
  if (image.code_type == RomCodeType::kLegacy && image.data + kRomDataVendor + 4 <= covered) {
    auto& byte = rom[image.offset + kChecksum];
    byte = add(byte, difference);
  }
}

Status check_strictly(const OptionRom& parsed, RomIds shown) {
  if (parsed.begin() != 0) {
    return fail(ErrorKind::kConfig, "{:#x} bytes lie before its first image; see gpuvm rom trim",
                parsed.begin());
  }
  if (!parsed.flaw.empty()) {
    return fail(ErrorKind::kConfig, "{}", parsed.flaw);
  }
  for (const auto& image : parsed.images) {
    if (!image.is_for(shown.vendor, shown.device)) {
      return fail(ErrorKind::kConfig,
                  "its image at {:#x} is for {:04x}:{:04x}, the function is {:04x}:{:04x}",
                  image.offset, image.vendor, image.device, shown.vendor, shown.device);
    }
    if (image.checksum.value_or(0) != 0) {
      return fail(ErrorKind::kConfig, "the checksum of its image at {:#x} is wrong", image.offset);
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::byte>> trim_rom(std::span<const std::byte> rom) {
  const auto parsed = TRY(OptionRom::parse(rom));
  const auto rest = rom.subspan(parsed.begin());
  return std::vector<std::byte>(rest.begin(), rest.end());
}

Result<std::vector<std::string>> fit_rom(std::vector<std::byte>& rom, RomIds shown, RomIds real,
                                         RomCheck check) {
  const auto parsed = TRY(OptionRom::parse(rom));
  if (check == RomCheck::kStrict) {
    TRY(check_strictly(parsed, shown));
    return std::vector<std::string>();
  }
  for (const auto& image : parsed.images) {
    if (image.vendor != shown.vendor && image.vendor != real.vendor) {
      return fail(ErrorKind::kConfig,
                  "its image at {:#x} is for {:04x}:{:04x}, of another vendor than the function "
                  "({:04x}:{:04x})",
                  image.offset, image.vendor, image.device, shown.vendor, shown.device);
    }
  }
  std::vector<std::string> changes;
  for (const auto& image : parsed.images) {
    if (!image.is_for(shown.vendor, shown.device)) {
      write_ids(rom, image, shown);
      changes.push_back(fmt::format("image at {:#x}: {:04x}:{:04x} became {:04x}:{:04x}",
                                    image.offset, image.vendor, image.device, shown.vendor,
                                    shown.device));
    }
  }
  if (parsed.begin() != 0) {
    rom.erase(rom.begin(), rom.begin() + static_cast<std::ptrdiff_t>(parsed.begin()));
    changes.push_back(fmt::format("{:#x} bytes before the first image left out", parsed.begin()));
  }
  return changes;
}

}  // namespace gpuvm
