// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/descriptor_budget.hpp"

#include <gtest/gtest.h>

namespace gpuvm::descriptor_budget_test {
namespace {

constexpr std::uint64_t kUsualLimit = 1024;  ///< of a shell

TEST(DescriptorBudget, AnOrdinaryGuestWithAGpuFits) {
  EXPECT_TRUE(check_descriptors(
      {.cpus = 16, .functions = 4, .vectors = 64, .queues = 20, .helpers = 2}, kUsualLimit));
  EXPECT_TRUE(check_descriptors({}, descriptor_limit()));
}

// A function may have 2048 vectors, each an open file once the guest unmasks it.
TEST(DescriptorBudget, ManyVectorsAreRefusedWithTheCure) {
  const DescriptorNeeds needs{.cpus = 1, .functions = 1, .vectors = 2048};
  const auto checked = check_descriptors(needs, kUsualLimit);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().kind(), ErrorKind::kHost);
  const auto text = checked.error().to_string();
  EXPECT_NE(text.find("2048 interrupt vectors"), std::string::npos) << text;
  EXPECT_NE(text.find("LimitNOFILE=" + std::to_string(descriptors_for(needs))), std::string::npos)
      << text;
  EXPECT_TRUE(check_descriptors(needs, descriptors_for(needs)));
  EXPECT_FALSE(check_descriptors(needs, descriptors_for(needs) - 1));
}

TEST(DescriptorBudget, TheSoftLimitBecomesTheHardOne) {
  const auto before = descriptor_limit();
  EXPECT_GE(raise_descriptor_limit(), before);
}

}  // namespace
}  // namespace gpuvm::descriptor_budget_test
