// SPDX-License-Identifier: Apache-2.0
// A reset of the fake slot of gpu_slot_test.hpp: plan, run, what was done.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/fixtures/run_reset.hpp"
#include "tests/unit/devices/physical/reset/gpu_slot_test.hpp"

namespace gpuvm::reset_test {

class ResetSequenceTest : public reset_test::GpuSlotTest {
 protected:
  ResetPlan plan(const ResetOptions& options = {}) {
    auto result = ResetPlan::create(host_, devices_, options);
    EXPECT_TRUE(result) << result.error().to_string();
    history_.clear();
    return *std::move(result);
  }
  Result<std::vector<ResetCertificate>> run(const ResetPlan& plan) {
    return run_reset(host_, plan, time_.clock());
  }
  std::string refusal(const ResetPlan& plan) {
    const auto result = run(plan);
    EXPECT_FALSE(result);
    if (result) {
      return "";
    }
    EXPECT_EQ(result.error().kind(), ErrorKind::kUnsafeDevice);
    return result.error().to_string();
  }
  History resets() const {
    History only;
    for (const std::string& entry : history_) {
      if (entry.find("reset") != std::string::npos) {
        only.push_back(entry);
      }
    }
    return only;
  }
};

}  // namespace gpuvm::reset_test
