// SPDX-License-Identifier: Apache-2.0
// See rom_fit.hpp.
#include "firmware/rom/rom_fit.hpp"

#include <algorithm>
#include <array>

#include "firmware/rom/option_rom.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kChecksum = 6;

std::byte add(std::byte a, unsigned b) {
  return static_cast<std::byte>((std::to_integer<unsigned>(a) + b) & 0xffU);
}

/// Ids that images of a vendor's functions carry though they are another's.
struct WrongVendor {
  std::uint16_t id;
  std::uint16_t meant;
  const char* reason;
  const char* source;
};

constexpr std::array kWrongVendors{
    WrongVendor{0x03ea, 0x1002, "1002 read as a decimal number",
                "9 of 23 files of github.com/isc30/ryzen-gpu-passthrough-proxmox (79e39175adfc)"},
    WrongVendor{0x1022, 0x1002, "AMD's other vendor id, which its processors have",
                "AMDGopDriver_8700GE.rom of the same"},
    WrongVendor{0x1f96, 0x8086, "8086 read as a decimal number",
                "the same slip of EfiRom's -f, for Intel's functions"},
};

/// nullptr: it is no known slip.
const WrongVendor* find_wrong_vendor(std::uint16_t id, std::uint16_t meant) {
  const auto found = std::find_if(
      kWrongVendors.begin(), kWrongVendors.end(),
      [id, meant](const WrongVendor& row) { return row.id == id && row.meant == meant; });
  return found == kWrongVendors.end() ? nullptr : &*found;
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

RomChange describe_change(const RomImage& image, RomIds shown, RomIds real) {
  const auto* const wrong = find_wrong_vendor(image.vendor, real.vendor);
  return {fmt::format("image at {:#x}: {:04x}:{:04x} became {:04x}:{:04x}{}", image.offset,
                      image.vendor, image.device, shown.vendor, shown.device,
                      wrong == nullptr ? std::string() : fmt::format(" ({})", wrong->reason)),
          wrong != nullptr};
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

Result<std::vector<RomChange>> fit_rom(std::vector<std::byte>& rom, RomIds shown, RomIds real,
                                       RomCheck check) {
  const auto parsed = TRY(OptionRom::parse(rom));
  if (check == RomCheck::kStrict) {
    TRY(check_strictly(parsed, shown));
    return std::vector<RomChange>();
  }
  for (const auto& image : parsed.images) {
    if (image.vendor != shown.vendor && image.vendor != real.vendor &&
        find_wrong_vendor(image.vendor, real.vendor) == nullptr) {
      return fail(ErrorKind::kConfig,
                  "its image at {:#x} is for {:04x}:{:04x}, of another vendor than the function "
                  "({:04x}:{:04x})",
                  image.offset, image.vendor, image.device, shown.vendor, shown.device);
    }
  }
  std::vector<RomChange> changes;
  for (const auto& image : parsed.images) {
    if (!image.is_for(shown.vendor, shown.device)) {
      write_ids(rom, image, shown);
      changes.push_back(describe_change(image, shown, real));
    }
  }
  if (parsed.begin() != 0) {
    rom.erase(rom.begin(), rom.begin() + static_cast<std::ptrdiff_t>(parsed.begin()));
    changes.push_back({fmt::format("{:#x} bytes before the first image left out", parsed.begin())});
  }
  return changes;
}

}  // namespace gpuvm
