// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/byte_ring.hpp"

#include <gtest/gtest.h>

#include <string>

namespace gpuvm::byte_ring_test {
namespace {

std::size_t push(ByteRing& ring, std::string_view text) {
  return ring.push(std::as_bytes(std::span(text.data(), text.size())));
}

std::string drain(ByteRing& ring) {
  std::string text;
  while (!ring.empty()) {
    const auto front = ring.front();
    for (const std::byte byte : front) {
      text += static_cast<char>(byte);
    }
    ring.pop(front.size());
  }
  return text;
}

TEST(ByteRing, KeepsOrderAcrossItsEnd) {
  ByteRing ring(8);
  EXPECT_EQ(push(ring, "abcdef"), 0u);
  ring.pop(4);
  EXPECT_EQ(push(ring, "ghijk"), 0u);
  EXPECT_EQ(ring.size(), 7u);
  EXPECT_EQ(drain(ring), "efghijk");
}

TEST(ByteRing, ForgetsTheOldest) {
  ByteRing ring(4);
  EXPECT_EQ(push(ring, "abc"), 0u);
  EXPECT_EQ(push(ring, "de"), 1u);
  EXPECT_EQ(push(ring, "0123456789"), 10u) << "four old ones and six new ones";
  EXPECT_EQ(drain(ring), "6789");
  EXPECT_EQ(push(ring, ""), 0u);
  EXPECT_TRUE(ring.empty());
}

}  // namespace
}  // namespace gpuvm::byte_ring_test
