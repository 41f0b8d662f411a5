// SPDX-License-Identifier: Apache-2.0
// The bytes behind _ROM and the VFCT as drivers walk it; that _ROM's method works is judged by
// acpiexec in tests/golden/acpi.
#include "firmware/acpi/acpi_rom.hpp"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "firmware/acpi/acpi_spec.hpp"
#include "firmware/acpi/acpi_tables.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::acpi_rom_test {
namespace {

constexpr GuestAddress kData(0x7ff0'0000);

std::vector<std::byte> rom_of(std::size_t size, unsigned first) {
  std::vector<std::byte> rom(size);
  for (std::size_t i = 0; i < size; ++i) {
    rom[i] = static_cast<std::byte>((i * 7 + first) & 0xff);
  }
  return rom;
}

AcpiRom amd(std::span<const std::byte> image, std::uint8_t bus) {
  return {.port_path = bus == 1 ? "\\_SB.PCI0.S08" : "\\_SB.PCI0.S10",
          .bus = bus,
          .devfn = 0,
          .vendor = 0x1002,
          .device = 0x67df,
          .subsystem_vendor = 0x1043,
          .subsystem_device = 0x0519,
          .revision = 0xc7,
          .image = image};
}

AcpiInput input_with(std::vector<AcpiRom> roms) {
  AcpiInput input;
  input.apic_ids = {0};
  input.roms = std::move(roms);
  return input;
}

AcpiImage place(const AcpiInput& input) {
  return place_acpi(build_acpi_blobs(input).value(), kAcpiArea, kData).value();
}

std::uint64_t xsdt_entry(const AcpiImage& image, const std::string& signature) {
  const auto rsdp = load_at<acpi::Rsdp>(image.bytes, 0).value();
  const std::span<const std::byte> all(image.bytes);
  const auto xsdt = all.subspan(rsdp.xsdt_address - image.base.value());
  const auto length = load_le(xsdt.subspan(4, 4));
  for (std::size_t i = sizeof(acpi::TableHeader); i + 8 <= length; i += 8) {
    const std::uint64_t address = load_le(xsdt.subspan(i, 8));
    const bool is_data = address >= image.data_base.value();
    const std::span<const std::byte> from(is_data ? image.data : image.bytes);
    const auto at = from.subspan(address - (is_data ? image.data_base : image.base).value(), 4);
    if (std::string(reinterpret_cast<const char*>(at.data()), 4) == signature) {
      return address;
    }
  }
  return 0;
}

unsigned sum(std::span<const std::byte> bytes) {
  unsigned total = 0;
  for (const std::byte byte : bytes) {
    total += std::to_integer<unsigned>(byte);
  }
  return total & 0xff;
}

TEST(AcpiRom, NoneLeavesTheTablesAsTheyWere) {
  const auto blobs = build_acpi_blobs(input_with({})).value();
  EXPECT_TRUE(blobs.data.empty());
  for (const auto& pointer : blobs.pointers) {
    EXPECT_NE(pointer.target, AcpiBlob::kData);
  }
}

TEST(AcpiRom, DsdtNamesTheDataAndTheyHoldTheImages) {
  const auto first = rom_of(5000, 1);
  const auto second = rom_of(4096, 2);
  auto nvidia = amd(second, 2);
  nvidia.vendor = 0x10de;
  const auto image = place(input_with({amd(first, 1), nvidia}));
  const auto rsdp = load_at<acpi::Rsdp>(image.bytes, 0).value();
  ASSERT_NE(rsdp.xsdt_address, 0U);
  const std::string tables(reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size());
  const auto name = tables.find("\x08GPVD\x0c");
  ASSERT_NE(name, std::string::npos);
  EXPECT_EQ(load_le(std::span(image.bytes).subspan(name + 6, 4)), kData.value());
  EXPECT_EQ(sum(std::span(image.data).first(64)), 0U) << "nothing that looks like a table";
  const std::span<const std::byte> data(image.data);
  EXPECT_TRUE(std::equal(first.begin(), first.end(), data.begin() + 64));
  EXPECT_EQ(sum(data.subspan(64 + 5000, 2 * 4096 + 4096 - 5000)), 0U) << "zeroes behind it";
  EXPECT_TRUE(std::equal(second.begin(), second.end(), data.begin() + 64 + 3 * 4096));
}

TEST(AcpiRom, VfctIsWalkedAsLinuxDoes) {  // amdgpu_acpi_vfct_bios()
  const auto first = rom_of(1000, 1);
  const auto second = rom_of(70000, 2);
  const auto image = place(input_with({amd(first, 1), amd(second, 2)}));
  const std::uint64_t address = xsdt_entry(image, "VFCT");
  ASSERT_NE(address, 0U);
  const auto header = load_at<acpi::TableHeader>(image.data, address - kData.value()).value();
  const std::uint32_t length = header.length;
  const auto table = std::span(image.data).subspan(address - kData.value(), length);
  EXPECT_EQ(sum(table), 0U);
  EXPECT_EQ(address % 64, 0U);
  std::size_t at = load_at<std::uint32_t>(table, 0x34).value();  // VBIOSImageOffset
  EXPECT_EQ(at, 0x4cU);
  std::size_t images = 0;
  for (const auto* rom : {&first, &second}) {
    const auto each = load_at<acpi::VfctImage>(table, at).value();
    EXPECT_EQ(std::uint32_t{each.bus}, ++images);
    EXPECT_EQ(std::uint32_t{each.device}, 0U);
    EXPECT_EQ(std::uint32_t{each.function}, 0U);
    EXPECT_EQ(std::uint16_t{each.vendor}, 0x1002);
    EXPECT_EQ(std::uint16_t{each.device_id}, 0x67df);
    EXPECT_EQ(std::uint32_t{each.revision}, 0xc7U);
    ASSERT_EQ(std::uint32_t{each.length}, rom->size());
    at += sizeof each;
    EXPECT_TRUE(std::equal(rom->begin(), rom->end(), table.begin() + static_cast<long>(at)));
    at += rom->size();
  }
  EXPECT_EQ(at, table.size());
}

TEST(AcpiRom, OnlyAmdGetsAVfct) {
  const auto bytes = rom_of(4096, 3);
  auto rom = amd(bytes, 1);
  rom.vendor = 0x10de;
  EXPECT_EQ(xsdt_entry(place(input_with({rom})), "VFCT"), 0U);
}

TEST(AcpiRom, VfctHasTheImagesThatAreMeantForIt) {
  const auto bytes = rom_of(4096, 3);
  auto kept_out = amd(bytes, 1);
  kept_out.in_vfct = false;
  EXPECT_EQ(xsdt_entry(place(input_with({kept_out})), "VFCT"), 0U);
  const auto image = place(input_with({kept_out, amd(bytes, 2)}));
  const auto table =
      std::span(image.data).subspan(xsdt_entry(image, "VFCT") - image.data_base.value());
  const auto first = load_at<acpi::VfctImage>(table, load_at<std::uint32_t>(table, 0x34).value());
  EXPECT_EQ(std::uint32_t{first->bus}, 2U);
  EXPECT_EQ(load_at<std::uint32_t>(table, 4), 0x4c + sizeof(acpi::VfctImage) + bytes.size());
  const std::string tables(reinterpret_cast<const char*>(image.bytes.data()), image.bytes.size());
  EXPECT_NE(tables.find("S10_"), std::string::npos) << "_ROM stays";
  EXPECT_NE(tables.find("S08_"), std::string::npos);
}

TEST(AcpiRom, RefusesNoImageAndNoPlace) {
  EXPECT_FALSE(build_acpi_blobs(input_with({amd({}, 1)})).has_value());
  const auto bytes = rom_of(4096, 3);
  auto blobs = build_acpi_blobs(input_with({amd(bytes, 1)})).value();
  EXPECT_FALSE(place_acpi(blobs, kAcpiArea, {}).has_value());
  EXPECT_FALSE(place_acpi(blobs, kAcpiArea, kData + 8).has_value());
  EXPECT_FALSE(place_acpi(blobs, kAcpiArea, GuestAddress(4_GiB)).has_value());
}

}  // namespace
}  // namespace gpuvm::acpi_rom_test
