// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/panic_port.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "fakes.hpp"

namespace gpuvm::panic_port_test {
namespace {

using testing::ElementsAre;

struct PanicPortTest : testing::Test {
  std::vector<GuestPanic> said;
  PanicPort port{{.power_off = {}, .reset = {}, .exit = {}, .panic = [this](GuestPanic panic) {
                    said.push_back(panic);
                  }}};
};

// QEMU docs/specs/pvpanic.rst: reads have a bit for each event that the device knows.
TEST_F(PanicPortTest, TellsWhatItUnderstands) {
  EXPECT_EQ(read8(port, 0), 0x03);
}

TEST_F(PanicPortTest, APanic) {
  write8(port, 0, 0x01);
  EXPECT_THAT(said, ElementsAre(GuestPanic::kPanicked));
}

TEST_F(PanicPortTest, ACrashKernelAndThenItsPanic) {
  write8(port, 0, 0x02);
  write8(port, 0, 0x01);
  EXPECT_THAT(said, ElementsAre(GuestPanic::kCrashKernel, GuestPanic::kPanicked));
}

TEST_F(PanicPortTest, AGuestThatFloodsItIsHeardOnceInEachLife) {
  for (unsigned value = 0; value < 1000; ++value) {
    write8(port, 0, value);
  }
  EXPECT_EQ(said.size(), 2U);
  port.reset();
  write8(port, 0, 0xff);
  EXPECT_EQ(said.size(), 3U);
  EXPECT_EQ(said.back(), GuestPanic::kPanicked);
}

TEST_F(PanicPortTest, HostileAccesses) {
  std::array<std::byte, 8> buffer{};
  buffer.fill(std::byte{0xff});
  for (std::uint64_t offset = 0; offset < 2; ++offset) {
    for (const std::size_t width : {1U, 2U, 4U, 8U}) {
      if (offset != 0 || width != 1) {
        EXPECT_NE(port.write(offset, std::span(buffer).first(width)), IoStatus::kOk);
        EXPECT_NE(port.read(offset, std::span(buffer).first(width)), IoStatus::kOk);
      }
    }
  }
  write8(port, 0, 0xfc);  // events that it does not know
  EXPECT_TRUE(said.empty());
}

}  // namespace
}  // namespace gpuvm::panic_port_test
