// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/text.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace gpuvm::text_test {
namespace {

TEST(Text, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("cpus", "cpu"), 1U);
  EXPECT_EQ(edit_distance("same", "same"), 0U);
}

TEST(Text, EditDistanceIsBounded) {
  const std::string longer(100'000, 'a');
  EXPECT_EQ(edit_distance(longer, longer), 0U);
  EXPECT_EQ(edit_distance(longer, "b"), 64U);
}

TEST(Text, NearestName) {
  constexpr std::array<std::string_view, 3> kNames = {"memory", "cpus", "hugepages"};
  EXPECT_EQ(nearest_name("cpu", kNames), "cpus");
  EXPECT_EQ(nearest_name("hugepage", kNames), "hugepages");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace gpuvm::text_test
