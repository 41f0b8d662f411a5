// SPDX-License-Identifier: Apache-2.0
// run_machine(), as far as it goes without KVM: files are looked at before anything else.
#include "vmm/machine/run/run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpuvm::run_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Config without_kernel() {
  Config config;
  config.name = "main";
  config.boot.kernel = "/nowhere/kernel";
  config.console.serial.clear();
  return config;
}

TEST(Run, ARunThatFailsIsSeenByItsObserversAndItsResult) {
  std::vector<std::string> told;
  GuestControl* control = nullptr;
  RunOptions options;
  options.observers.push_back([&told](const GuestEvent& event) {
    told.push_back(event.guest + " " +
                   std::string(to_string(std::get<StateChange>(event.what).to)));
  });
  LifecycleState first = LifecycleState::kFailed;
  options.on_control = [&](GuestControl& given) {
    control = &given;
    first = given.state();
  };
  const auto result = run_machine(without_kernel(), options);
  EXPECT_NE(control, nullptr);
  EXPECT_EQ(first, LifecycleState::kCreated);
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.exit_status, 78);
  ASSERT_TRUE(result.error);
  EXPECT_THAT(result.error->to_string(), HasSubstr("/nowhere/kernel"));
  EXPECT_THAT(told, ElementsAre("main stopping", "main stopped"));
}

TEST(Run, AnEventFileThatCannotBeWrittenIsRefusedBeforeAnythingHappens) {
  RunOptions options;
  options.event_file = "/dev/null/x";
  options.on_control = [](GuestControl&) { FAIL() << "there is nothing to steer"; };
  const auto result = run_machine(without_kernel(), options);
  EXPECT_EQ(result.end, RunEnd::kFailed);
  EXPECT_EQ(result.exit_status, 64);
}

// What is asked for before the machine is built is carried out when its guest runs, or refused.
TEST(Run, ARequestBeforeTheStartIsAnswered) {
  std::optional<Status> answer;
  RunOptions options;
  options.on_control = [&answer](GuestControl& control) {
    control.pause([&answer](Status status) { answer = std::move(status); });
  };
  run_machine(without_kernel(), options);
  ASSERT_TRUE(answer);
  ASSERT_FALSE(*answer);
  EXPECT_EQ(answer->error().kind(), ErrorKind::kWrongState);
}

}  // namespace
}  // namespace gpuvm::run_test
