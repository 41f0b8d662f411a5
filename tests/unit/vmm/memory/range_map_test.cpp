// SPDX-License-Identifier: Apache-2.0
// RangeMap with plain numbers as values, also against a slow and obvious model.
#include "vmm/memory/range_map.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace gpuvm::range_map_test {
namespace {

constexpr std::uint64_t kLast = ~std::uint64_t{0};
using Map = RangeMap<GuestAddress, int>;

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return GuestRange::create(GuestAddress(base), size).value();
}

TEST(RangeMap, FindsOnlyWhatFitsWholly) {
  Map map;
  ASSERT_TRUE(map.insert(range(0x1000, 0x10), 1));
  ASSERT_TRUE(map.insert(range(0x1010, 0x10), 2));
  EXPECT_EQ(map.find(GuestAddress(0x1000), 0x10)->value, 1);
  EXPECT_EQ(map.find(GuestAddress(0x100f), 1)->value, 1);
  EXPECT_EQ(map.find(GuestAddress(0x1010), 1)->value, 2);
  EXPECT_EQ(map.find(GuestAddress(0x100f), 2), nullptr);  // crosses into the neighbour
  EXPECT_EQ(map.find(GuestAddress(0xfff), 1), nullptr);
  EXPECT_EQ(map.find(GuestAddress(0x1020), 1), nullptr);
  EXPECT_EQ(map.find(GuestAddress(0x1018), kLast), nullptr);
  EXPECT_EQ(Map().find(GuestAddress(0), 1), nullptr);
}

TEST(RangeMap, RefusesOverlapAndStaysAsItWas) {
  Map map;
  ASSERT_TRUE(map.insert(range(0x1000, 0x1000), 1));
  for (const auto& bad : {range(0x1000, 0x1000), range(0x1fff, 1), range(0xfff, 2),
                          range(0x1800, 1), range(0, kLast), range(0x800, 0x2000)}) {
    const auto status = map.insert(bad, 2);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().kind(), ErrorKind::kInternal);
  }
  ASSERT_EQ(map.entries().size(), 1U);
  EXPECT_EQ(map.entries()[0].value, 1);
  EXPECT_TRUE(map.insert(range(0x2000, 1), 3));
  EXPECT_TRUE(map.insert(range(0, 0x1000), 0));
}

TEST(RangeMap, EndsOfTheSpace) {
  Map map;
  ASSERT_TRUE(map.insert(range(kLast, 1), 1));
  ASSERT_TRUE(map.insert(range(0, 1), 0));
  EXPECT_EQ(map.find(GuestAddress(kLast), 1)->value, 1);
  EXPECT_EQ(map.find(GuestAddress(kLast), 2), nullptr);
  EXPECT_EQ(map.find(GuestAddress(0), 1)->value, 0);
}

TEST(RangeMap, EraseNeedsTheBase) {
  Map map;
  ASSERT_TRUE(map.insert(range(0x1000, 0x1000), 1));
  EXPECT_FALSE(map.erase(GuestAddress(0x1001)));
  EXPECT_FALSE(map.erase(GuestAddress(0xfff)));
  EXPECT_TRUE(map.erase(GuestAddress(0x1000)));
  EXPECT_FALSE(map.erase(GuestAddress(0x1000)));
  EXPECT_TRUE(map.entries().empty());
}

// The model is one entry per byte of a space of 256 bytes.
TEST(RangeMap, AgreesWithAModel) {
  std::mt19937 random(1);
  const auto pick = [&random](unsigned below) {
    return static_cast<std::uint64_t>(random() % below);
  };
  Map map;
  std::map<std::uint64_t, std::uint64_t> owner;  // byte -> base of the range that holds it
  for (int step = 0; step < 5000; ++step) {
    const std::uint64_t base = pick(256);
    const std::uint64_t size = 1 + pick(std::min<unsigned>(16, 256 - static_cast<unsigned>(base)));
    if (pick(3) == 0) {
      const bool held = owner.contains(base) && owner[base] == base;
      EXPECT_EQ(map.erase(GuestAddress(base)), held);
      std::erase_if(owner, [&](const auto& item) { return held && item.second == base; });
    } else {
      const auto first = owner.lower_bound(base);
      const bool is_free = first == owner.end() || first->first >= base + size;
      EXPECT_EQ(map.insert(range(base, size), step).has_value(), is_free);
      for (std::uint64_t byte = base; is_free && byte < base + size; ++byte) {
        owner[byte] = base;
      }
    }
    const std::uint64_t at = pick(256);
    const auto* found = map.find(GuestAddress(at), 1);
    ASSERT_EQ(found != nullptr, owner.contains(at));
    if (found != nullptr) {
      EXPECT_EQ(found->range.base().value(), owner[at]);
    }
  }
  EXPECT_TRUE(
      std::is_sorted(map.entries().begin(), map.entries().end(),
                     [](const auto& a, const auto& b) { return a.range.base() < b.range.base(); }));
}

}  // namespace
}  // namespace gpuvm::range_map_test
