// SPDX-License-Identifier: Apache-2.0
// AML encodings against byte sequences worked out by hand from ACPI 6.5, chapter 20.
#include "firmware/acpi/aml.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace gpuvm::aml::aml_test {
namespace {

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned value : values) {
    out.push_back(static_cast<std::byte>(value));
  }
  return out;
}

Bytes text(std::string_view characters) {
  Bytes out;
  for (const char c : characters) {
    out.push_back(static_cast<std::byte>(c));
  }
  return out;
}

Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(Aml, IntegersTakeTheShortestForm) {  // 20.2.3
  EXPECT_EQ(integer(0).bytes, bytes({0x00}));
  EXPECT_EQ(integer(1).bytes, bytes({0x01}));
  EXPECT_EQ(integer(2).bytes, bytes({0x0a, 0x02}));
  EXPECT_EQ(integer(0xff).bytes, bytes({0x0a, 0xff}));
  EXPECT_EQ(integer(0x100).bytes, bytes({0x0b, 0x00, 0x01}));
  EXPECT_EQ(integer(0xffff).bytes, bytes({0x0b, 0xff, 0xff}));
  EXPECT_EQ(integer(0x10000).bytes, bytes({0x0c, 0x00, 0x00, 0x01, 0x00}));
  EXPECT_EQ(integer(0xffff'ffff).bytes, bytes({0x0c, 0xff, 0xff, 0xff, 0xff}));
  EXPECT_EQ(integer(0x1'0000'0000).bytes, bytes({0x0e, 0, 0, 0, 0, 1, 0, 0, 0}));
  EXPECT_EQ(integer(~std::uint64_t{0}).bytes,
            bytes({0x0e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}));
}

TEST(Aml, StringsEndWithNulAndStayAscii) {  // 20.2.3
  EXPECT_EQ(string("ACPI0007").bytes, bytes({0x0d}) + text("ACPI0007") + bytes({0}));
  EXPECT_EQ(string(std::string_view("a\0\xc3z", 4)).bytes, bytes({0x0d, 'a', '?', '?', 'z', 0}));
}

TEST(Aml, NamesHaveFourCharacterSegments) {  // 20.2.2
  EXPECT_EQ(path("PCI0").bytes, text("PCI0"));
  EXPECT_EQ(path("C").bytes, text("C___"));
  EXPECT_EQ(path("\\_SB").bytes, text("\\_SB_"));
  EXPECT_EQ(path("^^AB").bytes, text("^^AB__"));
  EXPECT_EQ(path("\\_SB.PCI0").bytes, text("\\") + bytes({0x2e}) + text("_SB_PCI0"));
  EXPECT_EQ(path("\\_SB.PCI0.RP01").bytes, text("\\") + bytes({0x2f, 3}) + text("_SB_PCI0RP01"));
  EXPECT_EQ(path("\\").bytes, bytes({'\\', 0}));
}

TEST(Aml, WrongNameCharactersAreReplaced) {
  EXPECT_EQ(path("a-1").bytes, text("__1_"));
  EXPECT_EQ(path("1ABC").bytes, text("_ABC"));
  EXPECT_EQ(path("TOOLONG").bytes, text("TOOL"));
}

TEST(Aml, EisaIds) {  // 19.3.4: PNP0A08 compresses to 0x080ad041
  EXPECT_EQ(eisa_id("PNP0A08").bytes, bytes({0x0c, 0x41, 0xd0, 0x0a, 0x08}));
  EXPECT_EQ(eisa_id("PNP0C02").bytes, bytes({0x0c, 0x41, 0xd0, 0x0c, 0x02}));
}

TEST(Aml, UuidsHaveMixedByteOrder) {  // 19.6.143
  EXPECT_EQ(uuid("33db4d5b-1ff7-401c-9657-7441c03dd766").bytes,
            bytes({0x11, 0x13, 0x0a, 0x10, 0x5b, 0x4d, 0xdb, 0x33, 0xf7, 0x1f,
                   0x1c, 0x40, 0x96, 0x57, 0x74, 0x41, 0xc0, 0x3d, 0xd7, 0x66}));
}

/// The PkgLength bytes of a Scope whose content fills content_size bytes after the name.
Bytes scope_length_bytes(std::size_t content_size, std::size_t count) {
  const Term filler{Bytes(content_size, std::byte{0xa3})};  // NoopOp
  const Bytes encoded = scope("ABCD", {filler}).bytes;
  EXPECT_EQ(encoded.size(), 1 + count + 4 + content_size);
  EXPECT_EQ(encoded.front(), std::byte{0x10});
  return Bytes(encoded.begin() + 1, encoded.begin() + 1 + static_cast<std::ptrdiff_t>(count));
}

TEST(Aml, PackageLengthGrowsAtItsBoundaries) {  // 20.2.4; the length counts its own bytes
  EXPECT_EQ(scope_length_bytes(0, 1), bytes({0x05}));
  EXPECT_EQ(scope_length_bytes(58, 1), bytes({0x3f}));                // 63
  EXPECT_EQ(scope_length_bytes(59, 2), bytes({0x41, 0x04}));          // 65: 64 does not exist
  EXPECT_EQ(scope_length_bytes(4089, 2), bytes({0x4f, 0xff}));        // 4095
  EXPECT_EQ(scope_length_bytes(4090, 3), bytes({0x81, 0x00, 0x01}));  // 4097
  EXPECT_EQ(scope_length_bytes((1 << 20) - 8, 3), bytes({0x8f, 0xff, 0xff}));
  EXPECT_EQ(scope_length_bytes((1 << 20) - 7, 4), bytes({0xc1, 0x00, 0x00, 0x01}));
}

TEST(Aml, Packages) {  // 20.2.5.4
  EXPECT_EQ(package({integer(5), integer(0)}).bytes, bytes({0x12, 5, 2, 0x0a, 5, 0}));
  EXPECT_EQ(package({}).bytes, bytes({0x12, 2, 0}));
  const Bytes small = package(Terms(255, integer(0))).bytes;
  EXPECT_EQ(small[0], std::byte{0x12});
  EXPECT_EQ(small[3], std::byte{255});
  const Bytes large = package(Terms(256, integer(0))).bytes;  // VarPackage
  EXPECT_EQ(Bytes(large.begin(), large.begin() + 6), bytes({0x13, 0x45, 0x10, 0x0b, 0x00, 0x01}));
}

TEST(Aml, Buffers) {
  EXPECT_EQ(buffer(bytes({1, 2, 3})).bytes, bytes({0x11, 6, 0x0a, 3, 1, 2, 3}));
  EXPECT_EQ(buffer({}).bytes, bytes({0x11, 2, 0}));
  EXPECT_EQ(buffer_of_size(argument(1)).bytes, bytes({0x11, 2, 0x69}));
}

TEST(Aml, DevicesAndNames) {  // 20.2.5.1, 20.2.5.2
  EXPECT_EQ(
      device("COM1", {name("_UID", integer(1))}).bytes,
      bytes({0x5b, 0x82, 0x0b}) + text("COM1") + bytes({0x08}) + text("_UID") + bytes({0x01}));
}

TEST(Aml, MethodFlags) {
  EXPECT_EQ(method("ABCD", 2, {return_(argument(0))}, Serialized::kYes).bytes,
            bytes({0x14, 0x08}) + text("ABCD") + bytes({0x0a, 0xa4, 0x68}));
  EXPECT_EQ(method("ABCD", 0, {}).bytes, bytes({0x14, 0x06}) + text("ABCD") + bytes({0x00}));
}

TEST(Aml, RegionsAndFields) {  // 20.2.5.2
  EXPECT_EQ(operation_region("PRST", RegionSpace::kSystemIo, integer(0x600), integer(4)).bytes,
            bytes({0x5b, 0x80}) + text("PRST") + bytes({1, 0x0b, 0x00, 0x06, 0x0a, 4}));
  EXPECT_EQ(field("PRST", FieldAccess::kByte, {{"AAAA", 1}, {"", 7}, {"BBBB", 64}}).bytes,
            bytes({0x5b, 0x81, 0x13}) + text("PRST") + bytes({0x01}) + text("AAAA") +
                bytes({1, 0x00, 7}) + text("BBBB") + bytes({0x40, 0x04}));
}

TEST(Aml, BufferFields) {
  EXPECT_EQ(create_dword_field(argument(3), integer(8), "CDW3").bytes,
            bytes({0x8a, 0x6b, 0x0a, 8}) + text("CDW3"));
  EXPECT_EQ(create_field(local(0), integer(0), integer(64), "BITS").bytes,
            bytes({0x5b, 0x13, 0x60, 0x00, 0x0a, 64}) + text("BITS"));
}

TEST(Aml, ControlFlow) {  // 20.2.5.3
  EXPECT_EQ(if_(equal(argument(0), integer(1)), {return_(integer(0))}).bytes,
            bytes({0xa0, 6, 0x93, 0x68, 0x01, 0xa4, 0x00}));
  EXPECT_EQ(else_({break_()}).bytes, bytes({0xa1, 2, 0xa5}));
  EXPECT_EQ(while_(less(local(0), integer(4)), {increment(local(0))}).bytes,
            bytes({0xa2, 7, 0x95, 0x60, 0x0a, 4, 0x75, 0x60}));
  EXPECT_EQ(notify(path("PWRB"), integer(0x80)).bytes,
            bytes({0x86}) + text("PWRB") + bytes({0x0a, 0x80}));
  EXPECT_EQ(call("ABCD", {integer(1), local(2)}).bytes, text("ABCD") + bytes({1, 0x62}));
}

TEST(Aml, Operators) {  // 20.2.5.4
  const Term a = local(0);
  const Term b = argument(0);
  EXPECT_EQ(store(a, b).bytes, bytes({0x70, 0x60, 0x68}));
  EXPECT_EQ(add(a, b).bytes, bytes({0x72, 0x60, 0x68, 0x00}));
  EXPECT_EQ(subtract(a, b, local(7)).bytes, bytes({0x74, 0x60, 0x68, 0x67}));
  EXPECT_EQ(and_(a, b, a).bytes, bytes({0x7b, 0x60, 0x68, 0x60}));
  EXPECT_EQ(or_(a, b, a).bytes, bytes({0x7d, 0x60, 0x68, 0x60}));
  EXPECT_EQ(divide(a, b).bytes, bytes({0x78, 0x60, 0x68, 0x00, 0x00}));
  EXPECT_EQ(not_equal(a, b).bytes, bytes({0x92, 0x93, 0x60, 0x68}));
  EXPECT_EQ(less_equal(a, b).bytes, bytes({0x92, 0x94, 0x60, 0x68}));
  EXPECT_EQ(greater_equal(a, b).bytes, bytes({0x92, 0x95, 0x60, 0x68}));
  EXPECT_EQ(mid(a, b, integer(1)).bytes, bytes({0x9e, 0x60, 0x68, 0x01, 0x00}));
}

}  // namespace
}  // namespace gpuvm::aml::aml_test
