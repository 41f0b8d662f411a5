// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/bytes.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace gpuvm::bytes_test {
namespace {

std::vector<std::byte> bytes_of(std::initializer_list<int> values) {
  std::vector<std::byte> bytes;
  for (const int value : values) {
    bytes.push_back(static_cast<std::byte>(value));
  }
  return bytes;
}

TEST(Bytes, LoadIsLittleEndian) {
  const auto bytes = bytes_of({1, 2, 3, 4, 5, 6, 7, 8, 9});
  EXPECT_EQ(load_le({}), 0U);
  EXPECT_EQ(load_le(std::span(bytes).first(1)), 0x01U);
  EXPECT_EQ(load_le(std::span(bytes).first(2)), 0x0201U);
  EXPECT_EQ(load_le(std::span(bytes).first(3)), 0x030201U);
  EXPECT_EQ(load_le(bytes), 0x0807060504030201U);
}

TEST(Bytes, StoreKeepsLowBytesAndClearsTheRest) {
  std::vector<std::byte> two(2, std::byte{0xff});
  store_le(two, 0x12345678);
  EXPECT_EQ(two, bytes_of({0x78, 0x56}));
  std::vector<std::byte> ten(10, std::byte{0xff});
  store_le(ten, 0x0102030405060708);
  EXPECT_EQ(ten, bytes_of({8, 7, 6, 5, 4, 3, 2, 1, 0, 0}));
  store_le({}, 1);  // nowhere to go
}

TEST(Bytes, LoadAtIsBounded) {
  const auto bytes = bytes_of({1, 2, 3, 4, 5});
  EXPECT_EQ(load_at<std::uint32_t>(bytes, 1), 0x05040302U);
  EXPECT_FALSE(load_at<std::uint32_t>(bytes, 2));
  EXPECT_FALSE(load_at<std::uint8_t>(bytes, 5));
  EXPECT_FALSE(load_at<std::uint32_t>(bytes, std::numeric_limits<std::size_t>::max()));
  EXPECT_FALSE(load_at<std::uint32_t>({}, 0));
}

TEST(Bytes, LanesOfADword) {
  EXPECT_EQ(byte_lanes(0, 4), 0xffffffffU);
  EXPECT_EQ(byte_lanes(0, 1), 0xffU);
  EXPECT_EQ(byte_lanes(3, 1), 0xff000000U);
  EXPECT_EQ(byte_lanes(1, 2), 0x00ffff00U);
  EXPECT_EQ(byte_lanes(2, 0), 0U);
}

TEST(Bytes, Append) {
  std::vector<std::byte> out;
  append_bytes(out, std::uint16_t{0x0201});
  append_bytes(out, std::uint8_t{3});
  EXPECT_EQ(out, bytes_of({1, 2, 3}));
}

}  // namespace
}  // namespace gpuvm::bytes_test
