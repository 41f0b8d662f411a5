// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/console_tap.hpp"

#include <gtest/gtest.h>

#include <array>

namespace gpuvm::console_tap_test {
namespace {

TEST(ConsoleTap, GivesBytesToThePlacesAndToWhoListens) {
  struct Places : ConsoleSink {
    void write(std::span<const std::byte> bytes) override { size += bytes.size(); }
    std::size_t size = 0;
  } places;
  std::size_t heard = 0;
  ConsoleTap tap(places, [&](std::span<const std::byte> bytes) {
    EXPECT_EQ(places.size, heard + bytes.size()) << "the user's places come first";
    heard += bytes.size();
  });
  const std::array<std::byte, 3> bytes = {};
  tap.write(bytes);
  tap.write(std::span(bytes).first(1));
  EXPECT_EQ(heard, 4U);
  ConsoleTap(places, {}).write(bytes);
  EXPECT_EQ(places.size, 7U);
}

}  // namespace
}  // namespace gpuvm::console_tap_test
