// SPDX-License-Identifier: Apache-2.0
// The control loop while its worker is in a step that takes time: what comes from outside
// meanwhile.
#include <new>

#include "tests/unit/vmm/machine/run/control_fixture.hpp"
#include "vmm/machine/run/control_loop.hpp"

namespace gpuvm::control_steps_test {
namespace {

/// The steps at which something happens from outside.
class ControlSteps : public test::ControlTest, public testing::WithParamInterface<const char*> {
 protected:
  /// Until the worker is in the step; it stays there.
  void reach(const std::string& step) {
    make();
    machine_->hold(step);
    if (step == "build" || step == "power_on") {
      start();
    } else {
      run_guest();
    }
    if (step == "resume") {
      ASSERT_TRUE(done(&ControlLoop::pause));
    }
    if (step == "reboot") {
      loop_->requests().reset();
    } else if (step == "pause" || step == "resume") {
      ignored_ = ask(step == "pause" ? &ControlLoop::pause : &ControlLoop::resume);
    } else if (step == "stop") {
      loop_->requests().power_off();
    }
    machine_->wait_for(step);
  }
  std::future<Status> ignored_;
};

TEST_P(ControlSteps, ADeviceThatIsLostEndsTheRunWhenTheStepIsDone) {
  reach(GetParam());
  loop_->fail(fail(ErrorKind::kUnsafeDevice, "A device of the guest has left"));
  sync();
  machine_->release(GetParam());
  const auto result = wait();
  EXPECT_EQ(machine_->count("stop"), 1);
  if (std::string_view(GetParam()) == "stop") {
    EXPECT_EQ(result.exit_status, 0);  // the guest had powered off before
  } else {
    EXPECT_EQ(result.exit_status, 75);
    EXPECT_EQ(result.end, RunEnd::kFailed);
  }
}

TEST_P(ControlSteps, AnExceptionOnTheControlThreadEndsTheRunWhenTheStepIsDone) {
  reach(GetParam());
  boost::asio::post(loop_->context(), [] { throw std::bad_alloc(); });
  machine_->wait_for("break_off");
  machine_->release(GetParam());
  const auto result = wait();
  EXPECT_EQ(machine_->count("stop"), 1);
  if (std::string_view(GetParam()) != "stop") {
    EXPECT_EQ(result.exit_status, 70);
    ASSERT_TRUE(result.error);
    EXPECT_EQ(result.error->message(), "The control thread cannot go on: std::bad_alloc");
  }
}

TEST_P(ControlSteps, StopEndsTheRunWhenTheStepIsDone) {
  reach(GetParam());
  auto stopped = ask(&ControlLoop::stop);
  machine_->wait_for("break_off");
  sync();
  EXPECT_NE(stopped.wait_for(std::chrono::seconds(0)), std::future_status::ready);
  machine_->release(GetParam());
  EXPECT_TRUE(stopped.get());
  const auto result = wait();
  EXPECT_EQ(result.exit_status, 0);
  EXPECT_EQ(machine_->count("stop"), 1);
}

TEST_P(ControlSteps, AnExceptionIsAnErrorAndTheMachineIsStopped) {
  reach(GetParam());
  machine_->throw_in(GetParam());
  machine_->release(GetParam());
  if (std::string_view(GetParam()) == "pause") {
    EXPECT_FALSE(ignored_.get());
    loop_->requests().power_off();
  }
  const auto result = wait();
  EXPECT_EQ(machine_->count("stop"), 1);
  EXPECT_EQ(result.exit_status, std::string_view(GetParam()) == "pause" ? 0 : 70);
}

TEST_P(ControlSteps, InspectAnswersMeanwhile) {
  reach(GetParam());
  InspectNode node;
  loop_->inspect(node);
  EXPECT_EQ(node.get("state"), to_string(loop_->state()));
  machine_->release(GetParam());
  if (std::string_view(GetParam()) != "stop") {
    loop_->requests().power_off();
  }
  wait();
}

INSTANTIATE_TEST_SUITE_P(Each, ControlSteps,
                         testing::Values("build", "power_on", "reboot", "pause", "resume", "stop"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace gpuvm::control_steps_test
