// SPDX-License-Identifier: Apache-2.0
// Throttle with a clock of its own.
#include "devices/virtio/throttle.hpp"

#include <gtest/gtest.h>

namespace gpuvm::throttle_test {
namespace {

using std::chrono::milliseconds;

const Throttle::Clock::time_point kStart{};

/// Begins what may begin, each of `bytes`, for ten seconds; how many that are.
unsigned begun(Throttle& throttle, std::uint64_t bytes) {
  unsigned count = 0;
  for (auto now = kStart; now < kStart + std::chrono::seconds(10);) {
    const auto rest = throttle.rest(now);
    if (rest.count() > 0) {
      now += rest;
      continue;
    }
    throttle.take(bytes);
    ++count;
  }
  return count;
}

TEST(Throttle, NothingIsLimitedWithoutLimits) {
  Throttle throttle({}, kStart);
  for (unsigned i = 0; i < 1000; ++i) {
    throttle.take(1 << 30);
    EXPECT_EQ(throttle.rest(kStart).count(), 0);
  }
}

TEST(Throttle, RequestsASecond) {
  Throttle throttle({.requests = 100}, kStart);
  const unsigned count = begun(throttle, 4096);
  EXPECT_GE(count, 990U);
  EXPECT_LE(count, 1021U);  // ten seconds' and the tenth of one at the start
}

TEST(Throttle, BytesASecondAlsoForRequestsThatAreLarger) {
  Throttle throttle({.bytes = 1 << 20}, kStart);
  const unsigned count = begun(throttle, 4 << 20);
  EXPECT_GE(count, 2U);
  EXPECT_LE(count, 3U);
  EXPECT_GT(throttle.rest(kStart + std::chrono::seconds(10)), milliseconds(0));
}

TEST(Throttle, TheStricterOneCounts) {
  Throttle throttle({.requests = 10, .bytes = 1 << 30}, kStart);
  EXPECT_LE(begun(throttle, 512), 102U);
  Throttle other({.requests = 1000000, .bytes = 51200}, kStart);
  EXPECT_LE(begun(other, 512), 1011U);
}

// A rest saves up a tenth of a second, however long it was.
TEST(Throttle, ARestIsNotSavedUp) {
  Throttle throttle({.requests = 100}, kStart);
  const auto later = kStart + std::chrono::hours(1);
  unsigned count = 0;
  for (; throttle.rest(later).count() == 0; ++count) {
    throttle.take(0);
  }
  EXPECT_EQ(count, 10U);
}

TEST(Throttle, AClockThatStandsStillOrRunsBackwardsGivesNothing) {
  Throttle throttle({.requests = 10}, kStart);
  throttle.take(0);
  EXPECT_EQ(throttle.rest(kStart - milliseconds(500)), milliseconds(1));
  EXPECT_EQ(throttle.rest(kStart + milliseconds(100)).count(), 0);
}

}  // namespace
}  // namespace gpuvm::throttle_test
