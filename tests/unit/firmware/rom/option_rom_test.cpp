// SPDX-License-Identifier: Apache-2.0
// OptionRom and fit_rom: chains as boards have them, and hostile ones.
#include "firmware/rom/option_rom.hpp"

#include <gtest/gtest.h>

#include "firmware/rom/rom_fit.hpp"
#include "tests/unit/firmware/rom/rom_builder.hpp"

namespace gpuvm::option_rom_test {
namespace {

using test::rom_image;
using Bytes = std::vector<std::byte>;

Bytes legacy_and_efi() {
  using test::operator+;
  return rom_image({.last = false, .units = 8}) + rom_image({.code_type = 3, .units = 6});
}

TEST(OptionRom, LegacyThenEfi) {
  const auto rom = OptionRom::parse(legacy_and_efi());
  ASSERT_TRUE(rom);
  ASSERT_EQ(rom->images.size(), 2U);
  EXPECT_EQ(rom->flaw, "");
  EXPECT_EQ(rom->begin(), 0U);
  EXPECT_EQ(rom->end(), 14U * 512);
  const auto& legacy = rom->images[0];
  EXPECT_EQ(legacy.code_type, RomCodeType::kLegacy);
  EXPECT_EQ(legacy.vendor, 0x10de);
  EXPECT_EQ(legacy.device, 0x1b80);
  EXPECT_EQ(legacy.class_code, 0x030000U);
  EXPECT_EQ(legacy.checksum, 0);  // 5.1.1: the bytes add up to 0
  EXPECT_FALSE(legacy.last);
  EXPECT_FALSE(legacy.efi);
  const auto& efi = rom->images[1];
  EXPECT_EQ(efi.offset, 8U * 512);
  EXPECT_TRUE(efi.last);
  EXPECT_FALSE(efi.checksum);
  ASSERT_TRUE(efi.efi);
  EXPECT_EQ(rom_machine_name(efi.efi->machine), "x64");
  EXPECT_EQ(efi.efi->compression, 1);
  EXPECT_EQ(efi.efi->subsystem, 11);
}

TEST(OptionRom, VendorHeaderBeforeAndDataBehind) {
  using test::operator+;
  Bytes header(0x9404, std::byte{0x11});
  header[0x200] = std::byte{0x55};  // a signature that leads nowhere
  header[0x201] = std::byte{0xaa};
  const auto bytes = header + legacy_and_efi() + Bytes(777, std::byte{0x22});
  const auto rom = OptionRom::parse(bytes);
  ASSERT_TRUE(rom);
  EXPECT_EQ(rom->begin(), 0x9404U);
  EXPECT_EQ(rom->images.size(), 2U);
  const auto trimmed = trim_rom(bytes);
  ASSERT_TRUE(trimmed);
  EXPECT_EQ(*trimmed, legacy_and_efi() + Bytes(777, std::byte{0x22}));
}

// NVIDIA's own images behind the first: "VN" with "NPDS".
TEST(OptionRom, NvidiaSignatures) {
  using test::operator+;
  auto own = rom_image({.code_type = 0xe0});
  store_le(std::span(own).first(2), 0x4e56);
  store_le(std::span(own).subspan(0x40, 4), 0x5344504e);
  const auto rom = OptionRom::parse(rom_image({.last = false}) + own);
  ASSERT_TRUE(rom);
  EXPECT_EQ(rom->images.size(), 2U);
  EXPECT_EQ(to_string(rom->images[1].code_type), "vendor 0xe0");
  EXPECT_FALSE(OptionRom::parse(own));  // never the first
}

TEST(OptionRom, EmptyTooLargeOrNone) {
  EXPECT_NE(OptionRom::parse({}).error().to_string().find("empty"), std::string::npos);
  EXPECT_NE(
      OptionRom::parse(Bytes(OptionRom::kMaximumSize + 1)).error().to_string().find("16777216"),
      std::string::npos);
  EXPECT_FALSE(OptionRom::parse(Bytes(4096, std::byte{0xff})));
  EXPECT_FALSE(OptionRom::parse(Bytes{std::byte{0x55}, std::byte{0xaa}}));
}

TEST(OptionRom, ChainThatEndsWithoutALastImage) {
  using test::operator+;
  EXPECT_NE(OptionRom::parse(rom_image({.last = false}))->flaw.find("bytes end"),
            std::string::npos);
  const auto truncated = legacy_and_efi();
  const auto cut = OptionRom::parse(std::span(truncated).first(10 * 512));
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->images.size(), 1U);
  EXPECT_NE(cut->flaw.find("cut off"), std::string::npos);
  EXPECT_TRUE(cut->incomplete);
  // Length 0: the next image would be the same one again.
  auto loop = rom_image({});
  store_le(std::span(loop).subspan(0x50, 2), 0);
  const auto looping = OptionRom::parse(rom_image({.last = false}) + loop);
  ASSERT_TRUE(looping);
  EXPECT_NE(looping->flaw.find("for ever"), std::string::npos);
  EXPECT_TRUE(looping->incomplete);
  const auto padded = OptionRom::parse(rom_image({.last = false}) + Bytes(512, std::byte{0xff}));
  EXPECT_FALSE(padded->flaw.empty());
  EXPECT_FALSE(padded->incomplete);  // all there, but for the mark of the last one
  EXPECT_FALSE(OptionRom::parse(loop));
}

TEST(OptionRom, EveryTruncationIsHarmless) {
  const auto whole = legacy_and_efi();
  for (std::size_t size = 0; size < whole.size(); size += 13) {
    const auto rom =
        OptionRom::parse(Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
    EXPECT_FALSE(rom && rom->flaw.empty());
  }
}

TEST(RomFit, DeviceIdIsCorrectedWithTheChecksum) {
  auto rom = legacy_and_efi();
  const auto changes = fit_rom(rom, {0x10de, 0x2204}, {0x10de, 0x2204}, RomCheck::kCorrect);
  ASSERT_TRUE(changes);
  EXPECT_EQ(changes->size(), 2U);
  const auto parsed = OptionRom::parse(rom);
  ASSERT_TRUE(parsed);
  for (const auto& image : parsed->images) {
    EXPECT_EQ(image.device, 0x2204);
    EXPECT_EQ(image.checksum.value_or(0), 0);
  }
  // An EFI image's byte 6 is part of its signature.
  EXPECT_TRUE(parsed->images[1].efi);
  // Only ids and the checksum byte changed.
  const auto before = legacy_and_efi();
  std::size_t different = 0;
  for (std::size_t i = 0; i < rom.size(); ++i) {
    different += rom[i] == before[i] ? 0U : 1U;
  }
  EXPECT_EQ(different, 2U + 1 + 2);
}

TEST(RomFit, OverriddenVendorTooButNeverAnothers) {
  auto rom = legacy_and_efi();
  ASSERT_TRUE(fit_rom(rom, {0x1234, 0x1111}, {0x10de, 0x1b80}, RomCheck::kCorrect));
  EXPECT_TRUE(OptionRom::parse(rom)->images[0].is_for(0x1234, 0x1111));
  auto other = legacy_and_efi();
  const auto refused = fit_rom(other, {0x1002, 0x73bf}, {0x1002, 0x73bf}, RomCheck::kCorrect);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().to_string().find("another vendor"), std::string::npos);
  EXPECT_EQ(other, legacy_and_efi());
}

// https://github.com/isc30/ryzen-gpu-passthrough-proxmox has such files: EfiRom was given 1002 as a
// decimal number. Each is put right, with a word; for another vendor's function it is a stranger's.
TEST(RomFit, VendorIdsThatToolsPutWrongAreOdd) {
  struct Case {
    std::uint16_t in_file;
    std::uint16_t function;
  };
  for (const auto& [in_file, function] :
       {Case{0x03ea, 0x1002}, Case{0x1022, 0x1002}, Case{0x1f96, 0x8086}}) {
    const auto made = rom_image({.vendor = in_file, .device = 0x0668, .code_type = 3});
    auto rom = made;
    const auto changes = fit_rom(rom, {function, 0x1640}, {function, 0x1640}, RomCheck::kCorrect);
    ASSERT_TRUE(changes) << changes.error().to_string();
    ASSERT_EQ(changes->size(), 1U);
    EXPECT_TRUE(changes->front().is_odd);
    EXPECT_TRUE(OptionRom::parse(rom)->images[0].is_for(function, 0x1640));
    rom = made;
    EXPECT_FALSE(fit_rom(rom, {function, 0x1640}, {function, 0x1640}, RomCheck::kStrict));
    EXPECT_FALSE(fit_rom(rom, {0x10de, 0x1b80}, {0x10de, 0x1b80}, RomCheck::kCorrect));
    EXPECT_EQ(rom, made);
  }
  auto usual = rom_image({.vendor = 0x1002, .device = 0x0668});
  const auto changes = fit_rom(usual, {0x1002, 0x1640}, {0x1002, 0x1640}, RomCheck::kCorrect);
  ASSERT_TRUE(changes);
  EXPECT_FALSE(changes->front().is_odd);
}

TEST(RomFit, DeviceListCountsAsMatch) {
  auto rom = rom_image({.devices = {0x1b81, 0x1b82}});
  EXPECT_TRUE(fit_rom(rom, {0x10de, 0x1b82}, {0x10de, 0x1b82}, RomCheck::kCorrect)->empty());
  EXPECT_TRUE(fit_rom(rom, {0x10de, 0x1b82}, {0x10de, 0x1b82}, RomCheck::kStrict));
}

TEST(RomFit, StrictRefuses) {
  using test::operator+;
  const auto strict = [](Bytes rom) {
    const auto fitted = fit_rom(rom, {0x10de, 0x1b80}, {0x10de, 0x1b80}, RomCheck::kStrict);
    return fitted ? std::string() : fitted.error().to_string();
  };
  EXPECT_EQ(strict(legacy_and_efi()), "");
  EXPECT_NE(strict(rom_image({.device = 1})).find("is for 10de:0001"), std::string::npos);
  EXPECT_NE(strict(Bytes(512) + legacy_and_efi()).find("gpuvm rom trim"), std::string::npos);
  EXPECT_NE(strict(rom_image({.last = false})).find("no last image"), std::string::npos);
  auto wrong_sum = rom_image({});
  wrong_sum[0x100] ^= std::byte{1};
  EXPECT_NE(strict(wrong_sum).find("checksum"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::option_rom_test
