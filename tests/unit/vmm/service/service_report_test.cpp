// SPDX-License-Identifier: Apache-2.0
// What a service manager is told of a guest's life.
#include "vmm/service/service_report.hpp"

#include <gmock/gmock.h>

namespace gpuvm::service_report_test {
namespace {

using State = LifecycleState;
using testing::HasSubstr;
using testing::Not;

GuestEvent to(State state) {
  return {.what = StateChange{.to = state}};
}

GuestEvent word(const std::string& text) {
  return {.what = GuestWord{.channel = "notify", .word = text}};
}

TEST(ServiceReport, ALife) {
  ServiceReport report(ReadyWhen::kVcpus);
  EXPECT_EQ(report.begin(), "STATUS=Building the machine\nEXTEND_TIMEOUT_USEC=60000000");
  EXPECT_TRUE(report.takes_time());
  EXPECT_EQ(report.after(to(State::kResetting)),
            "STATUS=Resetting devices\nEXTEND_TIMEOUT_USEC=60000000");
  EXPECT_TRUE(report.takes_time());
  EXPECT_EQ(report.after(to(State::kRunning)), "READY=1\nSTATUS=Running");
  EXPECT_FALSE(report.takes_time());
  EXPECT_EQ(report.after(to(State::kPaused)), "STATUS=Paused");
  EXPECT_EQ(report.after(to(State::kRunning)), "STATUS=Running");
  EXPECT_EQ(report.after(to(State::kRebooting)),
            "STATUS=Rebooting: resetting devices\nEXTEND_TIMEOUT_USEC=60000000");
  EXPECT_TRUE(report.takes_time());
  EXPECT_EQ(report.after(to(State::kRunning)), "STATUS=Running");
  EXPECT_EQ(report.after(word("ready")), "");
  EXPECT_EQ(report.after({.what = EndAsked{.signal = 15}}),
            "STATUS=Waiting for the guest to power off");
  EXPECT_EQ(report.after(to(State::kStopping)),
            "STOPPING=1\nSTATUS=Stopping: making devices quiet\nEXTEND_TIMEOUT_USEC=60000000");
  EXPECT_TRUE(report.takes_time());
  EXPECT_EQ(report.after(to(State::kStopped)), "STATUS=Stopped; devices are quiet");
  EXPECT_FALSE(report.takes_time());
}

TEST(ServiceReport, ReadyWhenTheGuestSaysSo) {
  ServiceReport report(ReadyWhen::kGuest);
  EXPECT_THAT(report.after(to(State::kRunning)), Not(HasSubstr("READY")));
  EXPECT_EQ(report.after({.what = GuestWord{.word = "exit", .status = 0}}), "");
  EXPECT_FALSE(report.takes_time()) << "a guest's boot has the service's own limit";
  EXPECT_EQ(report.after(word("ready")), "READY=1\nSTATUS=Running");
  EXPECT_EQ(report.after(word("ready")), "") << "once";
  report.after(to(State::kRebooting));
  EXPECT_EQ(report.after(to(State::kRunning)), "STATUS=Running");
}

TEST(ServiceReport, TroubleIsInTheStatus) {
  ServiceReport report(ReadyWhen::kVcpus);
  EXPECT_EQ(report.after(word("panic")), "STATUS=The guest's kernel panicked");
  EXPECT_EQ(report.after({.what = DevicesReset{.verdict = "verified"}}), "");
  EXPECT_EQ(report.after({.what = ScrubUnderWay{"0000:01:00.0", 3 << 20, 8 << 20}}),
            "STATUS=Overwriting the memory of 0000:01:00.0: 3 of 8 MiB");
  EXPECT_EQ(report.after({.what = DevicesReset{.functions = "0000:01:00.0\nREADY=1\x1b[2J",
                                               .verdict = "failed"}}),
            "STATUS=0000:01:00.0 READY=1?[2J did not come back from a reset");
}

}  // namespace
}  // namespace gpuvm::service_report_test
