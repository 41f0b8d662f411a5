// SPDX-License-Identifier: Apache-2.0
// Published: what readers see while the value is replaced, and whom drain() waits for.
#include "vmm/bus/published.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <latch>
#include <thread>

namespace gpuvm::published_test {
namespace {

Status set(Published<int>& published, int value) {
  return published.change([value](int& next) -> Status {
    next = value;
    return {};
  });
}

TEST(Published, AReadSeesOneValueToItsEnd) {
  Published<int> published(1);
  const auto old = published.read();
  ASSERT_TRUE(set(published, 2));
  EXPECT_EQ(*old, 1);
  EXPECT_EQ(*published.read(), 2);
}

TEST(Published, AFailedChangeChangesNothing) {
  Published<int> published(1);
  const auto status = published.change([](int& next) -> Status {
    next = 2;
    return fail(ErrorKind::kInternal, "No");
  });
  EXPECT_FALSE(status);
  EXPECT_EQ(*published.read(), 1);
  EXPECT_EQ(published.kept(), 0U);
}

// A guest replaces without end, in a long access of its own: only what is read is kept.
TEST(Published, NoMoreIsKeptThanIsRead) {
  Published<int> published(0);
  {
    const auto first = published.read();
    for (int i = 1; i <= 100; ++i) {
      ASSERT_TRUE(set(published, i));
    }
    const auto hundredth = published.read();
    ASSERT_TRUE(set(published, 101));
    EXPECT_EQ(published.kept(), 2U);
    EXPECT_EQ(*first, 0);
    EXPECT_EQ(*hundredth, 100);
  }
  EXPECT_EQ(published.kept(), 0U);
}

TEST(Published, MoreReadersThanPlaces) {
  Published<int> published(0);
  std::deque<Published<int>::Reading> readings;
  for (int i = 0; i < 50; ++i) {
    readings.push_back(published.read());
    ASSERT_TRUE(set(published, i + 1));
  }
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(*readings[static_cast<std::size_t>(i)], i);
  }
  EXPECT_EQ(published.kept(), 50U);
  readings.clear();
  EXPECT_EQ(published.kept(), 0U);
  EXPECT_TRUE(published.drain());
}

TEST(Published, NobodyWaitsInsideOfARead) {
  Published<int> published(0);
  Published<int> other(0);
  const auto reading = published.read();
  EXPECT_FALSE(published.drain());
  EXPECT_FALSE(other.drain()) << "two threads could wait for each other's reads";
}

TEST(Published, DrainWaitsForReadsOfWhatWasReplaced) {
  Published<int> published(0);
  std::latch reading(1);
  std::latch replaced(1);
  std::atomic<bool> drained{false};
  bool drained_too_early = false;
  std::thread reader([&] {
    const auto old = published.read();
    reading.count_down();
    replaced.wait();
    for (int i = 0; i < 1000; ++i) {  // give drain() its chance
      std::this_thread::yield();
      drained_too_early = drained_too_early || drained;
    }
  });
  reading.wait();
  ASSERT_TRUE(set(published, 1));
  replaced.count_down();
  EXPECT_TRUE(published.drain());
  drained = true;
  reader.join();
  EXPECT_FALSE(drained_too_early);
}

// Else a device that answers slowly would keep another from leaving.
TEST(Published, DrainDoesNotWaitForReadsOfTheNewValue) {
  Published<int> published(0);
  ASSERT_TRUE(set(published, 1));
  std::latch reading(1);
  std::latch drained(1);
  std::thread reader([&] {
    const auto value = published.read();
    reading.count_down();
    drained.wait();
    EXPECT_EQ(*value, 1);
  });
  reading.wait();
  EXPECT_TRUE(published.drain());
  drained.count_down();
  reader.join();
}

// What a reader has found in the old value may take as long as a device's reset.
TEST(Published, DrainOfSomeDoesNotWaitForWhoUsesOthers) {
  Published<int> published(0);
  const int ours = 0;
  const int another = 0;
  std::latch reading(1);
  std::latch drained(1);
  std::thread reader([&] {
    const auto value = published.read();
    value.use(&another);
    reading.count_down();
    drained.wait();
  });
  reading.wait();
  ASSERT_TRUE(set(published, 1));
  const std::array<const void*, 1> some{&ours};
  EXPECT_TRUE(published.drain(some));
  EXPECT_EQ(published.kept(), 1U) << "the other one still reads";
  drained.count_down();
  reader.join();
}

TEST(Published, DrainOfSomeWaitsForWhoUsesThemAndForWhoHasNotFoundAnything) {
  for (const bool has_found : {true, false}) {
    Published<int> published(0);
    const int ours = 0;
    std::latch reading(1);
    std::latch replaced(1);
    std::atomic<bool> drained{false};
    bool drained_too_early = false;
    std::thread reader([&] {
      const auto value = published.read();
      if (has_found) {
        value.use(&ours);
      }
      reading.count_down();
      replaced.wait();
      for (int i = 0; i < 1000; ++i) {  // give drain() its chance
        std::this_thread::yield();
        drained_too_early = drained_too_early || drained;
      }
    });
    reading.wait();
    ASSERT_TRUE(set(published, 1));
    replaced.count_down();
    const std::array<const void*, 1> some{&ours};
    EXPECT_TRUE(published.drain(some));
    drained = true;
    reader.join();
    EXPECT_FALSE(drained_too_early) << has_found;
  }
}

// It waits until the reader has found that it uses something else.
TEST(Published, DrainOfSomeEndsWhenTheLastHasFoundAnother) {
  Published<int> published(0);
  const int ours = 0;
  const int another = 0;
  std::latch reading(1);
  std::latch drained(1);
  std::thread reader([&] {
    const auto value = published.read();
    reading.count_down();
    while (published.kept() == 0) {  // until it was replaced
      std::this_thread::yield();
    }
    value.use(&another);
    drained.wait();
  });
  reading.wait();
  ASSERT_TRUE(set(published, 1));
  const std::array<const void*, 1> some{&ours};
  EXPECT_TRUE(published.drain(some));
  drained.count_down();
  reader.join();
}

/// Says so when it is used after its end, where no sanitizer does.
class Thing {
 public:
  ~Thing() { alive_ = 0; }
  bool used() {
    uses.fetch_add(1);
    uses.notify_one();
    return alive_ == kAlive;
  }
  std::atomic<std::uint64_t> uses{0};

 private:
  static constexpr std::uint64_t kAlive = 0x6c697665;
  volatile std::uint64_t alive_ = kAlive;
};

// Readers use what the value names; who replaces it drains and destroys.
TEST(Published, WhatLeftIsNotUsedAnyMore) {
  constexpr int kRounds = 300;
  Published<Thing*> published(nullptr);
  std::atomic<bool> done{false};
  std::atomic<std::uint64_t> wrong{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&] {
      while (!done) {
        const auto reading = published.read();
        if (*reading != nullptr && !(*reading)->used()) {
          ++wrong;
        }
      }
    });
  }
  for (int i = 0; i < kRounds; ++i) {
    auto thing = std::make_unique<Thing>();
    const auto put = [&published](Thing* what) {
      return published.change([what](Thing*& next) -> Status {
        next = what;
        return {};
      });
    };
    ASSERT_TRUE(put(thing.get()));
    thing->uses.wait(0);
    ASSERT_TRUE(put(nullptr));
    ASSERT_TRUE(published.drain());
  }
  done = true;
  for (auto& reader : readers) {
    reader.join();
  }
  EXPECT_EQ(wrong, 0U);
}

}  // namespace
}  // namespace gpuvm::published_test
