// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/result.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace gpuvm::result_test {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) {
    return fail(ErrorKind::kConfig, "{} is odd", number);
  }
  return number / 2;
}

Result<int> quarter(int number) {
  const int once = TRY(half(number));
  return TRY_CONTEXT(half(once), "Second half");
}

Status check_quarter(int number) {
  TRY(quarter(number));
  return {};
}

Result<std::unique_ptr<int>> boxed(int number) {
  auto box = TRY(Result<std::unique_ptr<int>>(std::make_unique<int>(number)));
  return box;
}

TEST(Result, TryYieldsValueOrReturnsError) {
  EXPECT_EQ(*quarter(12), 3);
  const auto odd = quarter(3);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().to_string(), "3 is odd");
  EXPECT_EQ(odd.error().kind(), ErrorKind::kConfig);
}

TEST(Result, ContextGoesInFront) {
  const auto odd = quarter(6);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().to_string(), "Second half: 3 is odd");
  EXPECT_EQ(odd.error().message(), "3 is odd");
  const auto outer = Error(odd.error()).with_context("Outer");
  EXPECT_EQ(outer.to_string(), "Outer: Second half: 3 is odd");
  EXPECT_EQ(outer.kind(), ErrorKind::kConfig);
}

TEST(Result, TryInStatus) {
  EXPECT_TRUE(check_quarter(8));
  EXPECT_FALSE(check_quarter(6));
}

TEST(Result, CarriesMoveOnlyValues) {
  auto box = boxed(7);
  ASSERT_TRUE(box);
  EXPECT_EQ(**box, 7);
}

TEST(Result, ErrnoText) {
  errno = ENOENT;
  EXPECT_EQ(fail_errno(ErrorKind::kHost, "Cannot open x").to_string(),
            "Cannot open x: No such file or directory");
  EXPECT_EQ(fail_errno(ErrorKind::kHost, "Cannot open x", EACCES).to_string(),
            "Cannot open x: Permission denied");
}

// The numbers are promised in gpuvm(1); sysexits.h has 64, 69, 70, 75 and 78.
TEST(Result, ExitStatuses) {
  EXPECT_EQ(exit_status(ErrorKind::kUsage), 64);
  EXPECT_EQ(exit_status(ErrorKind::kWrongState), 69);
  EXPECT_EQ(exit_status(ErrorKind::kCancelled), 70);
  EXPECT_EQ(exit_status(ErrorKind::kHost), 69);
  EXPECT_EQ(exit_status(ErrorKind::kInternal), 70);
  EXPECT_EQ(exit_status(ErrorKind::kUnsafeDevice), 75);
  EXPECT_EQ(exit_status(ErrorKind::kConfig), 78);
}

}  // namespace
}  // namespace gpuvm::result_test
