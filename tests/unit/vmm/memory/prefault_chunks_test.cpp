// SPDX-License-Identifier: Apache-2.0
#include "vmm/memory/prefault_chunks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace gpuvm::prefault_chunks_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> words(const std::vector<PrefaultPart>& parts) {
  std::vector<std::string> all;
  for (const PrefaultPart& part : parts) {
    std::string text = std::to_string(part.begin);
    text += "+";
    text += std::to_string(part.size);
    if (part.host_node) {
      text += " of ";
      text += std::to_string(*part.host_node);
    }
    all.push_back(text);
  }
  return all;
}

TEST(CutIntoParts, LeavesNoGap) {
  EXPECT_THAT(words(cut_into_parts(100, {})), ElementsAre("0+100"));
  EXPECT_THAT(words(cut_into_parts(100, {{60, 20, 1}, {10, 30, 0}})),
              ElementsAre("0+10", "10+30 of 0", "40+20", "60+20 of 1", "80+20"));
  EXPECT_THAT(words(cut_into_parts(100, {{0, 50, 0}, {50, 50, 1}})),
              ElementsAre("0+50 of 0", "50+50 of 1"));
  EXPECT_THAT(words(cut_into_parts(0, {})), IsEmpty());
}

TEST(CutIntoParts, IgnoresWhatOverlapsOrLiesOutside) {
  EXPECT_THAT(words(cut_into_parts(100, {{0, 50, 0}, {40, 20, 1}, {90, 20, 1}, {200, 1, 1}})),
              ElementsAre("0+50 of 0", "50+50"));
  EXPECT_THAT(words(cut_into_parts(100, {{10, ~std::uint64_t{0}, 1}, {20, 0, 1}})),
              ElementsAre("0+100"));
}

TEST(PrefaultChunks, EachThreadHasItsNodeFirst) {
  PrefaultChunks chunks(cut_into_parts(90, {{0, 20, 0}, {20, 40, 1}, {60, 30, 0}}), 20);
  EXPECT_EQ(chunks.preferred(0).begin, 0U);
  EXPECT_EQ(chunks.preferred(4).begin, 20U);
  EXPECT_EQ(chunks.take(1)->offset, 20U);
  EXPECT_EQ(chunks.take(0)->offset, 0U);
  EXPECT_EQ(chunks.take(0)->offset, 60U) << "the same node's other part";
  const auto last = chunks.take(0);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->offset, 80U);
  EXPECT_EQ(last->size, 10U);
  EXPECT_EQ(chunks.take(0)->offset, 40U) << "another node's, since there is nothing else";
  EXPECT_FALSE(chunks.take(0));
  EXPECT_FALSE(chunks.take(1));
}

// Who maps what is said to be done relies on it.
TEST(PrefaultChunks, WhatIsDoneHasNoHole) {
  PrefaultChunks chunks(cut_into_parts(80, {{0, 40, 0}, {40, 40, 1}}), 20);
  const auto first = *chunks.take(0);
  const auto second = *chunks.take(0);
  const auto third = *chunks.take(1);
  EXPECT_EQ(chunks.finish(third), 0U);
  EXPECT_EQ(chunks.finish(second), 0U);
  EXPECT_EQ(chunks.finish(first), 60U);
  const auto fourth = *chunks.take(1);
  EXPECT_EQ(fourth.offset, 60U);
  EXPECT_EQ(chunks.finish(fourth), 80U);
}

}  // namespace
}  // namespace gpuvm::prefault_chunks_test
