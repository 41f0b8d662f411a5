// SPDX-License-Identifier: Apache-2.0
// GenerationId against Microsoft's "Virtual Machine Generation ID" (2012) and ACPI 6.5, 5.6.9. What
// iasl and acpiexec say of its AML is in tests/golden/acpi.
#include "devices/platform/generation_id.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fakes.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::generation_id_test {
namespace {

using testing::ElementsAre;

GenerationId::Id id_from(unsigned first) {
  GenerationId::Id id{};
  for (std::size_t i = 0; i < id.size(); ++i) {
    id.at(i) = static_cast<std::byte>(first + i);
  }
  return id;
}

struct GenerationIdTest : testing::Test {
  GenerationId::Id read_all() {
    GenerationId::Id read{};
    EXPECT_EQ(device.read(0, std::span(read).first(8)), IoStatus::kOk);
    EXPECT_EQ(device.read(8, std::span(read).last(8)), IoStatus::kOk);
    return read;
  }
  FakePins pins;
  GenerationId device{id_from(1), pins};
};

TEST_F(GenerationIdTest, SixteenBytesInAnyWidth) {
  EXPECT_EQ(read_all(), id_from(1));
  EXPECT_EQ(read8(device, 15), 16);
  std::array<std::byte, 4> four{};
  EXPECT_EQ(device.read(4, four), IoStatus::kOk);
  EXPECT_EQ(load_le(four), 0x08070605U);
}

TEST_F(GenerationIdTest, RandomOnesDiffer) {
  const auto one = GenerationId::random();
  const auto other = GenerationId::random();
  ASSERT_TRUE(one);
  ASSERT_TRUE(other);
  EXPECT_NE(*one, *other);
}

// "The buffer must be eight-byte aligned"
TEST_F(GenerationIdTest, ItsAddressIsAligned) {
  EXPECT_EQ(kGenerationIdBase.value() % 8, 0U);
}

TEST_F(GenerationIdTest, NobodyIsToldBeforeItChanges) {
  read_all();
  EXPECT_TRUE(pins.changes.empty());
}

// The new bytes are there before the edge, and the edge is one.
TEST_F(GenerationIdTest, AChangeIsToldByAnEdge) {
  device.change(id_from(100));
  EXPECT_EQ(read_all(), id_from(100));
  EXPECT_THAT(pins.changes, ElementsAre(FakePins::Change{5, true}, FakePins::Change{5, false}));
  device.change(id_from(50));
  EXPECT_EQ(read_all(), id_from(50));
  EXPECT_EQ(pins.changes.size(), 4U);
}

TEST_F(GenerationIdTest, TheGuestCannotChangeIt) {
  std::array<std::byte, 8> ones{};
  ones.fill(std::byte{0xff});
  for (std::uint64_t offset = 0; offset < GenerationId::kSize; offset += 4) {
    for (const std::size_t width : {1U, 2U, 4U}) {
      EXPECT_NE(device.write(offset, std::span(ones).first(width)), IoStatus::kOk);
    }
  }
  EXPECT_EQ(read_all(), id_from(1));
  EXPECT_TRUE(pins.changes.empty());
}

TEST_F(GenerationIdTest, NothingIsReadBeyondIt) {
  std::array<std::byte, 8> bytes{};
  for (const std::uint64_t offset : {std::uint64_t{9}, std::uint64_t{15}, std::uint64_t{16},
                                     std::uint64_t{17}, ~std::uint64_t{0}}) {
    EXPECT_NE(device.read(offset, bytes), IoStatus::kOk) << offset;
  }
}

// Guests make random numbers of it: what people see does not tell it.
TEST_F(GenerationIdTest, InspectTellsHowOftenItChanged) {
  device.change(id_from(0x41));
  InspectNode node("root");
  device.inspect(node);
  EXPECT_EQ(node.get("changes"), "1");
  EXPECT_EQ(node.to_json().find("ABC"), std::string::npos);
  EXPECT_EQ(node.to_json().find("41"), std::string::npos);
}

// Linux, drivers/virt/vmgenid.c: a device with this id, and a package of two integers, ADDR.
TEST_F(GenerationIdTest, WhatDriversLookForIsInItsAml) {
  const auto terms = device.acpi();
  const auto all = aml::join(terms).bytes;
  const std::string text(reinterpret_cast<const char*>(all.data()), all.size());
  EXPECT_NE(text.find("VM_Gen_Counter"), std::string::npos);
  EXPECT_NE(text.find("ADDR"), std::string::npos);
  EXPECT_NE(text.find("ACPI0013"), std::string::npos);
  EXPECT_EQ(device.acpi(), terms);  // the same each time, as AcpiSource asks
}

}  // namespace
}  // namespace gpuvm::generation_id_test
