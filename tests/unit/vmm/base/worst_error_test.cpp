// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/worst_error.hpp"

#include <gtest/gtest.h>

namespace gpuvm::worst_error_test {
namespace {

TEST(WorstErrorTest, IsNoneWhenAllWentWell) {
  WorstError errors;
  errors.add({});
  EXPECT_TRUE(errors.take());
}

TEST(WorstErrorTest, IsTheFirst) {
  WorstError errors;
  errors.add(fail(ErrorKind::kHost, "One"));
  errors.add(fail(ErrorKind::kConfig, "Two"));
  const Status worst = errors.take();
  ASSERT_FALSE(worst);
  EXPECT_EQ(worst.error().message(), "One");
}

TEST(WorstErrorTest, IsTheUnsafeDeviceWhateverCameBefore) {
  WorstError errors;
  errors.add(fail(ErrorKind::kHost, "Busy"));
  errors.add(fail(ErrorKind::kUnsafeDevice, "First"));
  errors.add(fail(ErrorKind::kUnsafeDevice, "Second"));
  errors.add(fail(ErrorKind::kHost, "Busy, too"));
  const Status worst = errors.take();
  ASSERT_FALSE(worst);
  EXPECT_EQ(worst.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_EQ(worst.error().message(), "First");
}

}  // namespace
}  // namespace gpuvm::worst_error_test
