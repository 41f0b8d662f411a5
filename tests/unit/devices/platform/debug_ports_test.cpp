// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/debug_ports.hpp"

#include <gtest/gtest.h>

#include <array>

#include "fakes.hpp"

namespace gpuvm::debug_ports_test {
namespace {

TEST(PostCodePort, KeepsTheLastCode) {
  PostCodePort port;
  write8(port, 0, 0x11);
  write8(port, 0, 0xa5);
  InspectNode node;
  port.inspect(node);
  EXPECT_EQ(node.get("last"), "0xa5");
  EXPECT_EQ(node.get("writes"), "2");
  EXPECT_EQ(read8(port, 0), 0xff);
  port.reset();
  InspectNode after;
  port.inspect(after);
  EXPECT_EQ(after.get("last"), "0x0");
}

TEST(PostCodePort, RefusesWideWrites) {
  PostCodePort port;
  std::array<std::byte, 4> buffer{};
  EXPECT_EQ(port.write(0, std::span(buffer)), IoStatus::kInvalidSize);
  EXPECT_EQ(port.write(1, std::span(buffer).first(1)), IoStatus::kInvalidRegister);
}

}  // namespace
}  // namespace gpuvm::debug_ports_test
