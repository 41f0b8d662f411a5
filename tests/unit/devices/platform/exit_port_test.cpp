// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/exit_port.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "fakes.hpp"

namespace gpuvm::exit_port_test {
namespace {

using testing::ElementsAre;

struct ExitPortTest : testing::Test {
  std::vector<std::uint32_t> said;
  ExitPort port{{.power_off = {}, .reset = {}, .exit = [this](std::uint32_t status) {
                   said.push_back(status);
                 }}};

  IoStatus write(std::vector<std::byte> bytes, std::uint64_t offset = 0) {
    return port.write(offset, bytes);
  }
};

// QEMU's isa-debug-exit takes bytes, words and double words.
TEST_F(ExitPortTest, TakesAStatusOfAnyWidth) {
  EXPECT_EQ(write8(port, 0, 3), IoStatus::kOk);
  port.reset();
  EXPECT_EQ(write({std::byte{7}, std::byte{1}}), IoStatus::kOk);
  port.reset();
  EXPECT_EQ(write({std::byte{0}, std::byte{0}, std::byte{0}, std::byte{0x80}}), IoStatus::kOk);
  EXPECT_THAT(said, ElementsAre(3, 0x107, 0x8000'0000));
}

TEST_F(ExitPortTest, PassesOnOneStatusInEachLife) {
  for (unsigned status = 1; status < 1000; ++status) {
    write8(port, 0, status);
  }
  EXPECT_THAT(said, ElementsAre(1));
  port.reset();
  write8(port, 0, 2);
  EXPECT_THAT(said, ElementsAre(1, 2));
  InspectNode node;
  port.inspect(node);
  EXPECT_EQ(node.get("writes"), "1000");
}

TEST_F(ExitPortTest, ReadsAsAllOnes) {
  EXPECT_EQ(read8(port, 0), 0xff);
  EXPECT_EQ(read8(port, 3), 0xff);
}

TEST_F(ExitPortTest, HostileAccesses) {
  EXPECT_NE(write(std::vector<std::byte>(8)), IoStatus::kOk);
  EXPECT_NE(write({}), IoStatus::kOk);
  for (std::uint64_t offset = 1; offset < 4; ++offset) {
    EXPECT_NE(write({std::byte{1}}, offset), IoStatus::kOk);
  }
  EXPECT_TRUE(said.empty());
  ExitPort unheard{{}};
  EXPECT_EQ(write8(unheard, 0, 1), IoStatus::kOk);
}

}  // namespace
}  // namespace gpuvm::exit_port_test
