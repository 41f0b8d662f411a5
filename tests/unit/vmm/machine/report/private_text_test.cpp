// SPDX-License-Identifier: Apache-2.0
// What must not be in a report.
#include "vmm/machine/report/private_text.hpp"

#include <gtest/gtest.h>

#include "devices/pci/capability_chain.hpp"
#include "tests/fixtures/config_space/config_dump.hpp"
#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::private_text_test {
namespace {

TEST(PrivateText, NamesAreHiddenAsWords) {
  const PrivateText texts({"alice", "alicebox", "me", "root"});
  EXPECT_EQ(texts.clean("6.12.0-alicebox"), "6.12.0-(hidden)");
  EXPECT_EQ(texts.clean("/home/alice/vm of alice"), "/home/(hidden)/vm of (hidden)");
  EXPECT_EQ(texts.clean("malice and alices"), "malice and alices") << "other words";
  EXPECT_EQ(texts.clean("root, and me"), "root, and me") << "says nothing of anyone";
}

TEST(PrivateText, OnlyPrintableAsciiIsLeft) {
  const PrivateText texts({});
  EXPECT_EQ(texts.clean("a\x1b[31mb\n\xc3\xa9"), "a?[31mb???");
  EXPECT_EQ(texts.clean(std::string(5000, 'x')).size(), 4000U);
}

TEST(PrivateText, TheHostsNameIsOne) {
  FakeHost host;
  host.file("/proc/sys/kernel/hostname", "tower.example.org\n");
  const auto texts = PrivateText::of_this_host(host);
  EXPECT_EQ(texts.clean("6.1-tower"), "6.1-(hidden)");
  EXPECT_EQ(texts.clean("tower.example.org"), "(hidden)");
}

std::uint64_t load64(const std::vector<std::byte>& bytes, std::size_t at) {
  return load_at<std::uint64_t>(bytes, at).value_or(~0ULL);
}

// The network card's serial number is its MAC address.
TEST(SerialNumbers, OfARealCardIsZeroed) {
  const auto config = test::load_config_dump("intel-82576");
  std::uint16_t at = 0;
  for (const auto& capability : extended_capabilities(config)) {
    at = capability.id == 3 ? capability.offset : at;
  }
  ASSERT_NE(at, 0);
  ASSERT_NE(load64(config, at + 4U), 0U) << "the dump has one";
  const auto recorded = without_serial_numbers(config);
  EXPECT_EQ(load64(recorded.bytes, at + 4U), 0U);
  ASSERT_EQ(recorded.zeroed.size(), 1U);
  EXPECT_EQ(recorded.zeroed[0].offset, at + 4);
  EXPECT_EQ(recorded.zeroed[0].size, 8);
  // All else is as it was.
  auto same = config;
  std::fill_n(same.begin() + at + 4, 8, std::byte{0});
  EXPECT_EQ(recorded.bytes, same);
}

void put32(std::vector<std::byte>& config, std::size_t at, std::uint32_t value) {
  store_le(std::span(config).subspan(at, 4), value);
}

TEST(SerialNumbers, ThatNoChainReachesIsZeroedToo) {
  std::vector<std::byte> config(4096);
  put32(config, 0x200, 0x30010003);
  put32(config, 0x204, 0x11223344);
  put32(config, 0x208, 0x55667788);
  const auto recorded = without_serial_numbers(config);
  EXPECT_EQ(load64(recorded.bytes, 0x204), 0U);
  ASSERT_EQ(recorded.zeroed.size(), 1U);
  EXPECT_EQ(recorded.zeroed[0].reason, "Device Serial Number");
}

TEST(SerialNumbers, OfAnUnknownVersionIsZeroedWhereAChainReachesIt) {
  std::vector<std::byte> config(4096);
  put32(config, 0x100, 0x00020003);
  put32(config, 0x104, 0x11223344);
  EXPECT_EQ(load64(without_serial_numbers(config).bytes, 0x104), 0U);
}

TEST(SerialNumbers, AtTheEndStayInside) {
  std::vector<std::byte> config(4096);
  put32(config, 0xff8, 0x00010003);
  put32(config, 0xffc, 0x11223344);
  const auto recorded = without_serial_numbers(config);
  EXPECT_EQ(load_at<std::uint32_t>(recorded.bytes, 0xffc), 0U);
  EXPECT_EQ(recorded.zeroed.at(0).size, 4);
}

TEST(SerialNumbers, WhatVpdShowedLastIsZeroed) {
  std::vector<std::byte> config(256);
  put32(config, 0x04, 0x00100000);
  put32(config, 0x34, 0x40);
  put32(config, 0x40, 0x80000003);
  put32(config, 0x44, 0x11223344);
  const auto recorded = without_serial_numbers(config);
  EXPECT_EQ(load_at<std::uint32_t>(recorded.bytes, 0x44), 0U);
  EXPECT_EQ(recorded.zeroed.at(0).reason, "VPD data");
}

}  // namespace
}  // namespace gpuvm::private_text_test
