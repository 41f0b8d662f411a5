// SPDX-License-Identifier: Apache-2.0
// Attributes that stay open: each read shows what is there now.
#include "vmm/host/held_attribute.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::held_attribute_test {
namespace {

const std::string kName = "/sys/bus/pci/devices/0000:01:00.0/power_state";

TEST(HeldAttribute, EachReadShowsWhatIsThereNow) {
  const FakeHost host;
  host.file(kName, "D0\n");
  const auto held = HeldAttribute::open(host, kName);
  ASSERT_TRUE(held);
  EXPECT_EQ(held->read().value(), "D0");
  EXPECT_EQ(held->read().value(), "D0");
  host.file(kName, "D3hot \n\n");
  EXPECT_EQ(held->read().value(), "D3hot");
  EXPECT_EQ(held->read_bytes(2).value().size(), 2U);
  EXPECT_EQ(held->read_bytes(100).value().size(), 8U);
}

TEST(HeldAttribute, AnAbsentOneIsNamed) {
  const FakeHost host;
  const auto held = HeldAttribute::open(host, kName);
  ASSERT_FALSE(held);
  EXPECT_THAT(held.error().to_string(), testing::HasSubstr("power_state"));
}

}  // namespace
}  // namespace gpuvm::held_attribute_test
