// SPDX-License-Identifier: Apache-2.0
// The SMBIOS image as a guest walks it (DSP0134 version 3.3, 5.2.2 and 6.1).
#include "firmware/smbios/smbios.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "firmware/smbios/smbios_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::smbios_test {
namespace {

/// A copy: members of packed structures are not aligned, so nothing may refer to them.
template <class T>
T value(T member) {
  return member;
}

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

SmbiosInput small_machine() {
  SmbiosInput input;
  input.uuid = machine_uuid("demo");
  input.machine_name = "demo";
  input.ram = {range(0, 2_GiB)};
  return input;
}

struct Structure {
  smbios::Header header;
  std::vector<std::byte> formatted;
  std::vector<std::string> strings;
  /// 1-based as in the fields.
  std::string string(std::uint8_t number) const {
    return number == 0 ? std::string() : strings.at(number - 1U);
  }
  template <class T>
  T as() const {
    return load_at<T>(formatted, 0).value();
  }
};

Structure parse_one(std::span<const std::byte> bytes, std::size_t& at) {
  Structure one{load_at<smbios::Header>(bytes, at).value(), {}, {}};
  const auto formatted = bytes.subspan(at, one.header.length);
  one.formatted.assign(formatted.begin(), formatted.end());
  at += one.header.length;
  if (bytes[at] == std::byte{0}) {  // no strings: two NULs
    EXPECT_EQ(bytes[at + 1], std::byte{0});
    at += 2;
    return one;
  }
  while (bytes[at] != std::byte{0}) {
    std::string text;
    for (; bytes[at] != std::byte{0}; ++at) {
      text += static_cast<char>(bytes[at]);
    }
    one.strings.push_back(text);
    ++at;
  }
  ++at;
  return one;
}

std::vector<Structure> walk(const SmbiosImage& image) {
  const auto entry = load_at<smbios::EntryPoint>(image.bytes, 0).value();
  const std::uint64_t offset = entry.table_address - image.base.value();
  EXPECT_EQ(offset + entry.maximum_size, image.bytes.size());
  const auto table = std::span<const std::byte>(image.bytes).subspan(offset);
  std::vector<Structure> all;
  for (std::size_t at = 0; at < table.size();) {
    all.push_back(parse_one(table, at));
  }
  return all;
}

std::vector<Structure> of_type(const SmbiosImage& image, std::uint8_t type) {
  std::vector<Structure> chosen;
  for (Structure& each : walk(image)) {
    if (each.header.type == type) {
      chosen.push_back(std::move(each));
    }
  }
  return chosen;
}

TEST(Smbios, EntryPoint) {
  const SmbiosImage image = build_smbios(small_machine()).value();
  EXPECT_EQ(image.base.value() % 16, 0U);
  const auto entry = load_at<smbios::EntryPoint>(image.bytes, 0).value();
  EXPECT_EQ(std::string(entry.anchor.data(), 5), "_SM3_");
  EXPECT_EQ(value(entry.length), 0x18);
  EXPECT_EQ(value(entry.major), 3);
  unsigned total = 0;
  for (const std::byte byte : std::span(image.bytes).first(sizeof entry)) {
    total += std::to_integer<unsigned>(byte);
  }
  EXPECT_EQ(total & 0xff, 0U);
}

TEST(Smbios, TypesAndHandles) {
  const auto all = walk(build_smbios(small_machine()).value());
  std::vector<unsigned> types;
  for (std::size_t i = 0; i < all.size(); ++i) {
    types.push_back(all[i].header.type);
    EXPECT_EQ(value(all[i].header.handle), i);
  }
  EXPECT_EQ(types, (std::vector<unsigned>{0, 1, 2, 3, 4, 16, 17, 19, 32, 127}));
}

TEST(Smbios, BoardNamesItsChassis) {
  const SmbiosImage image = build_smbios(small_machine()).value();
  EXPECT_EQ(value(of_type(image, 2).at(0).as<smbios::Baseboard>().chassis_handle),
            value(of_type(image, 3).at(0).header.handle));
}

TEST(Smbios, SystemNamesAndUuid) {
  const Structure one = of_type(build_smbios(small_machine()).value(), 1).at(0);
  const auto system = one.as<smbios::SystemInformation>();
  EXPECT_EQ(one.string(system.manufacturer_string), "gpuvm");
  EXPECT_EQ(one.string(system.product_string), "gpuvm");
  EXPECT_EQ(one.string(system.sku_string), "demo");
  const auto plain = machine_uuid("demo").bytes;
  // 7.2.1: the first three fields are little-endian, the rest is as written.
  EXPECT_EQ(system.uuid[0], plain[3]);
  EXPECT_EQ(system.uuid[4], plain[5]);
  EXPECT_EQ(system.uuid[6], plain[7]);
  EXPECT_TRUE(std::equal(plain.begin() + 8, plain.end(), system.uuid.begin() + 8));
}

TEST(Smbios, BiosIsOfAVirtualMachine) {
  const Structure one = of_type(build_smbios(small_machine()).value(), 0).at(0);
  const auto bios = one.as<smbios::BiosInformation>();
  EXPECT_EQ(value(bios.characteristics_extension2), 0x10);
  const std::string date = one.string(bios.date_string);
  ASSERT_EQ(date.size(), 10U);
  EXPECT_GE(std::stoi(date.substr(6)), 2001);
}

TEST(Smbios, OneProcessorStructurePerSocket) {
  SmbiosInput input = small_machine();
  input.processors = {2, 300, 2, "GenuineIntel", "", 0x806f8, 0xbfebfbff};
  const auto sockets = of_type(build_smbios(input).value(), 4);
  ASSERT_EQ(sockets.size(), 2U);
  const auto cpu = sockets[1].as<smbios::Processor>();
  EXPECT_EQ(sockets[1].string(cpu.socket_string), "CPU 1");
  EXPECT_EQ(sockets[1].string(cpu.manufacturer_string), "GenuineIntel");
  EXPECT_EQ(value(cpu.version_string), 0);  // no model given
  EXPECT_EQ(value(cpu.core_count), 0xff);   // 7.5.6: see the second field
  EXPECT_EQ(value(cpu.core_count2), 300);
  EXPECT_EQ(value(cpu.thread_count2), 600);
  EXPECT_EQ(value(cpu.id_eax), 0x806f8U);
}

TEST(Smbios, OemStringsKeepTheirOrder) {
  SmbiosInput input = small_machine();
  for (int i = 0; i < 300; ++i) {
    input.oem_strings.push_back("io.systemd.credential:n" + std::to_string(i) + "=v");
  }
  const auto found = of_type(build_smbios(input).value(), 11);
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(value(found[0].as<smbios::OemStrings>().count), 255);
  EXPECT_EQ(value(found[1].as<smbios::OemStrings>().count), 45);
  std::vector<std::string> all = found[0].strings;
  all.insert(all.end(), found[1].strings.begin(), found[1].strings.end());
  EXPECT_EQ(all, input.oem_strings);
}

// DSP0134 3.3.0: the length at offset 1 of each structure is that of the entry point's version
// (7.1, 7.2, 7.3, 7.4, 7.5, 7.17, 7.18, 7.20).
TEST(Smbios, StructuresHaveTheLengthOfTheEntryPointsVersion) {
  const SmbiosImage image = build_smbios(small_machine()).value();
  const auto entry = load_at<smbios::EntryPoint>(image.bytes, 0).value();
  EXPECT_EQ(value(entry.major), 3);
  EXPECT_EQ(value(entry.minor), 3);
  const std::map<std::uint8_t, unsigned> lengths = {{0, 0x1a},  {1, 0x1b},  {2, 0x0f},
                                                    {3, 0x16},  {4, 0x30},  {16, 0x17},
                                                    {17, 0x5c}, {19, 0x1f}, {32, 0x0b}};
  for (const auto& [type, length] : lengths) {
    const auto found = of_type(image, type);
    ASSERT_FALSE(found.empty()) << int{type};
    EXPECT_EQ(value(found[0].as<smbios::Header>().length), length) << int{type};
  }
}

TEST(Smbios, SmallMemory) {
  SmbiosInput input = small_machine();
  input.ram = {range(0, 2_GiB), range(4_GiB, 2_GiB)};
  const SmbiosImage image = build_smbios(input).value();
  EXPECT_EQ(value(of_type(image, 16).at(0).as<smbios::MemoryArray>().maximum_capacity), 4U << 20);
  EXPECT_EQ(value(of_type(image, 17).at(0).as<smbios::MemoryDevice>().size), 4096);
  const auto maps = of_type(image, 19);
  ASSERT_EQ(maps.size(), 2U);
  EXPECT_EQ(value(maps[1].as<smbios::MemoryArrayMapped>().start), 4U << 20);
  EXPECT_EQ(value(maps[1].as<smbios::MemoryArrayMapped>().end), (6U << 20) - 1);
}

TEST(Smbios, HugeMemoryUsesExtendedFields) {  // 7.17, 7.18, 7.20
  SmbiosInput input = small_machine();
  const std::uint64_t size = 6144_GiB;
  input.ram = {range(4_GiB, size)};
  const SmbiosImage image = build_smbios(input).value();
  const auto array = of_type(image, 16).at(0).as<smbios::MemoryArray>();
  EXPECT_EQ(value(array.maximum_capacity), 0x8000'0000U);
  EXPECT_EQ(value(array.extended_maximum_capacity), size);
  const auto device = of_type(image, 17).at(0).as<smbios::MemoryDevice>();
  EXPECT_EQ(value(device.size), 0x7fff);
  EXPECT_EQ(value(device.extended_size), size >> 20);
  EXPECT_EQ(value(device.volatile_size), size);
  const auto mapped = of_type(image, 19).at(0).as<smbios::MemoryArrayMapped>();
  EXPECT_EQ(value(mapped.start), 0xffff'ffffU);
  EXPECT_EQ(value(mapped.extended_start), 4_GiB);
  EXPECT_EQ(value(mapped.extended_end), 4_GiB + size - 1);
}

TEST(Smbios, RefusesStringsThatWouldBreakTheTable) {
  for (const std::string& bad : {std::string(), std::string("a\0b", 3)}) {
    SmbiosInput input = small_machine();
    input.oem_strings = {"fine", bad};
    const auto result = build_smbios(input);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind(), ErrorKind::kConfig);
  }
}

TEST(Smbios, NamesAreCutAtNul) {
  SmbiosInput input = small_machine();
  input.machine_name = std::string("a\0b", 3);
  const Structure one = of_type(build_smbios(input).value(), 1).at(0);
  EXPECT_EQ(one.string(one.as<smbios::SystemInformation>().sku_string), "a");
}

// What the machine's most processors and the most that credentials may have come to.
TEST(Smbios, CredentialsFitBesideAllProcessors) {
  auto input = small_machine();
  input.processors.sockets = 255;
  input.oem_strings.assign(64, std::string(32768 / 64, 'x'));
  const auto image = build_smbios(input);
  ASSERT_TRUE(image) << image.error().to_string();
}

TEST(Smbios, RefusesWhatDoesNotFit) {
  SmbiosInput input = small_machine();
  input.oem_strings = {std::string(70'000, 'x')};
  const auto result = build_smbios(input);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::kConfig);
}

TEST(Smbios, RefusesWrongInput) {
  SmbiosInput input = small_machine();
  EXPECT_FALSE(build_smbios(input, range(0xe0000, 0x1000)).has_value());
  EXPECT_FALSE(build_smbios(input, range(0xf0001, 0x1000)).has_value());
  input.ram.clear();
  EXPECT_FALSE(build_smbios(input).has_value());
  input = small_machine();
  input.processors.sockets = 0;
  EXPECT_FALSE(build_smbios(input).has_value());
  input.processors.sockets = 1;
  input.processors.cores_per_socket = 0;
  EXPECT_FALSE(build_smbios(input).has_value());
}

}  // namespace
}  // namespace gpuvm::smbios_test
