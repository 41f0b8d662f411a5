// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/vfio_io.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

#include "vmm/base/bytes.hpp"

namespace gpuvm::vfio::vfio_io_test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::array<std::byte, 16> kSeed{std::byte{0}, std::byte{0}, std::byte{0},
                                          std::byte{0}, std::byte{0}, std::byte{0},
                                          std::byte{0}, std::byte{0}, std::byte{7}};

TEST(VfioSizedCall, AsksAgainWithTheSizeTheKernelNames) {
  std::vector<std::size_t> sizes;
  const auto answer = call_sized(
      [&sizes](std::span<std::byte> argument) {
        EXPECT_EQ(load_le(argument.first(4)), argument.size());
        EXPECT_EQ(argument[8], std::byte{7});
        sizes.push_back(argument.size());
        store_le(argument.first(4), 80);
        return 0;
      },
      kSeed, "Cannot ask");
  ASSERT_TRUE(answer);
  EXPECT_THAT(sizes, ElementsAre(16u, 80u));
  EXPECT_EQ(answer->size(), 80u);
}

TEST(VfioSizedCall, DoublesWhereTheKernelOnlySaysTooSmall) {
  std::vector<std::size_t> sizes;
  const auto answer = call_sized(
      [&sizes](std::span<std::byte> argument) {
        sizes.push_back(argument.size());
        return argument.size() < 40 ? ENOSPC : 0;
      },
      kSeed, "Cannot ask");
  ASSERT_TRUE(answer);
  EXPECT_THAT(sizes, ElementsAre(16u, 32u, 64u));
}

TEST(VfioSizedCall, GivesUpOnAnAnswerThatKeepsGrowing) {
  int calls = 0;
  const auto answer = call_sized(
      [&calls](std::span<std::byte> argument) {
        ++calls;
        store_le(argument.first(4), argument.size() + 1);
        return 0;
      },
      kSeed, "Cannot ask");
  EXPECT_FALSE(answer);
  EXPECT_EQ(calls, 4);
  const auto huge = call_sized(
      [](std::span<std::byte> argument) {
        store_le(argument.first(4), 0xffffffff);
        return 0;
      },
      kSeed, "Cannot ask");
  EXPECT_FALSE(huge);
}

TEST(VfioSizedCall, OtherErrorsEndIt) {
  const auto answer =
      call_sized([](std::span<std::byte>) { return ENODEV; }, kSeed, "Cannot ask about X");
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().message(), HasSubstr("Cannot ask about X: No such device"));
}

TEST(VfioBusy, IsTriedTenTimesWithPauses) {
  int attempts = 0;
  std::vector<milliseconds> pauses;
  const int error = retry_while_busy(
      [&attempts] {
        ++attempts;
        return attempts % 2 == 0 ? EBUSY : EAGAIN;
      },
      [&pauses](milliseconds time) { pauses.push_back(time); });
  EXPECT_EQ(error, EBUSY);
  EXPECT_EQ(attempts, 10);
  EXPECT_EQ(pauses, std::vector<milliseconds>(10, milliseconds(50)));
}

TEST(VfioBusy, EndsWithSuccessOrAnotherError) {
  int attempts = 0;
  const auto no_sleep = [](milliseconds) {};
  EXPECT_EQ(retry_while_busy([&] { return ++attempts < 3 ? EBUSY : 0; }, no_sleep), 0);
  EXPECT_EQ(attempts, 3);
  attempts = 0;
  EXPECT_EQ(retry_while_busy([&] { return ++attempts, EINVAL; }, no_sleep), EINVAL);
  EXPECT_EQ(attempts, 1);
}

TEST(VfioBusy, WhatStaysLockedDuringAResetIsToldAsThat) {
  EXPECT_EQ(reset_error(ErrorKind::kHost, "Hot reset", "0000:01:00.0", EAGAIN).message(),
            "Hot reset of 0000:01:00.0 failed: the host's kernel keeps it locked, as while it "
            "removes the device or waits for its driver to let go");
  EXPECT_EQ(reset_error(ErrorKind::kHost, "Hot reset", "0000:01:00.0", ENODEV).message(),
            "Hot reset of 0000:01:00.0 failed: No such device");
}

// vfio_msi_enable() answers with the number that it could have had, and enables none.
TEST(VfioVectors, AsManyAreEnabledAsTheKernelHas) {
  std::vector<int> asked;
  const auto host_with = [&asked](int vectors) {
    return [&asked, vectors](int count) {
      asked.push_back(count);
      return count <= vectors ? 0 : vectors;
    };
  };
  EXPECT_EQ(enable_as_many(host_with(8), 8, 1), 8);
  EXPECT_EQ(enable_as_many(host_with(3), 8, 1), 3);
  EXPECT_THAT(asked, ElementsAre(8, 8, 3));
  EXPECT_EQ(enable_as_many(host_with(3), 8, 5), -ENOSPC);
  EXPECT_EQ(enable_as_many([](int) { return -EINVAL; }, 8, 1), -EINVAL);
  EXPECT_EQ(enable_as_many([](int count) { return count; }, 8, 1), -EIO);
}

}  // namespace
}  // namespace gpuvm::vfio::vfio_io_test
