// SPDX-License-Identifier: Apache-2.0
#include "vmm/control/guest_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace gpuvm::guest_events_test {
namespace {

using testing::ElementsAre;

// man/gpuvm.1.scd, --events: supervisors read these keys.
TEST(GuestEvents, AChangeOfStateAsJson) {
  const GuestEvent event{
      .time = {},
      .guest = "main",
      .what = StateChange{.from = LifecycleState::kRunning,
                          .to = LifecycleState::kStopping,
                          .holdings = {.memory_slots = 6, .heap_bytes = 271840}}};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"state","from":"running",)"
            R"("to":"stopping","memory_slots":6,"heap_bytes":271840})");
}

TEST(GuestEvents, AWishForTheEndAsJson) {
  const GuestEvent event{.time = {}, .guest = "main", .what = EndAsked{.signal = 15}};
  EXPECT_EQ(
      event_node(event).to_json(),
      R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"end_asked","signal":15})");
}

TEST(GuestEvents, ADelayedRebootAsJson) {
  const GuestEvent event{
      .time = {}, .guest = "main", .what = RebootDelayed{.seconds = 8, .short_lives = 9}};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"reboot_delayed",)"
            R"("seconds":8,"short_lives":9})");
}

TEST(GuestEvents, ACardThatComesAsJson) {
  GuestEvent event{.time = {},
                   .guest = "main",
                   .what = CardMoved{.card = "0000:41:00.0", .port = 3, .step = "announced"}};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"card",)"
            R"("card":"0000:41:00.0","port":3,"step":"announced"})");
  event.what = CardMoved{.port = 3, .step = "powered", .text = "why"};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"card","port":3,)"
            R"("step":"powered","text":"why"})");
}

TEST(GuestEvents, AResetAsJson) {
  const GuestEvent event{
      .time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500)),
      .guest = "main",
      .what = DevicesReset{.reason = "stop",
                           .functions = "0000:01:00.0, 0000:01:00.1",
                           .method = "hot reset",
                           .verdict = "verified",
                           .duration_ms = 131,
                           .text = "two\nlines and a \"quote\""}};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:01.500Z","guest":"main","event":"reset","reason":"stop",)"
            R"("functions":"0000:01:00.0, 0000:01:00.1","method":"hot reset","verdict":"verified",)"
            R"("duration_ms":131,"text":"two\u000alines and a \"quote\""})");
}

TEST(GuestEvents, WhatACertificateSaysOfMemoryAsJson) {
  const GuestEvent event{.time = {},
                         .guest = "main",
                         .what = DevicesReset{.reason = "stop",
                                              .functions = "0000:01:00.0",
                                              .bars = "2 of 2 memory BARs answer",
                                              .scrub = "7 of 8 bytes"}};
  EXPECT_THAT(event_node(event).to_json(),
              testing::HasSubstr(
                  R"("text":"","bars":"2 of 2 memory BARs answer","scrub":"7 of 8 bytes"})"));
  const GuestEvent progress{
      .time = {},
      .guest = "main",
      .what = ScrubUnderWay{.function = "0000:01:00.0", .done_bytes = 7, .all_bytes = 8}};
  EXPECT_EQ(event_node(progress).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"scrub",)"
            R"("function":"0000:01:00.0","done_bytes":7,"all_bytes":8})");
}

TEST(GuestEvents, ALostNetworkAsJson) {
  const GuestEvent event{.time = {},
                         .guest = "main",
                         .what = NetworkLost{.network = "net-0", .text = "passt has ended"}};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"network",)"
            R"("network":"net-0","link":"down","text":"passt has ended"})");
  const GuestEvent address{.time = {}, .guest = "main", .what = VsockReady{.cid = 4294967294}};
  EXPECT_EQ(
      event_node(address).to_json(),
      R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"vsock","cid":4294967294})");
  const GuestEvent gone{
      .time = {}, .guest = "main", .what = ShareLost{.tag = "home", .text = "signal 9"}};
  EXPECT_EQ(event_node(gone).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"share","tag":"home",)"
            R"("state":"lost","text":"signal 9"})");
}

TEST(GuestEvents, TheSandboxAsJson) {
  const GuestEvent entered{.time = {},
                           .guest = "main",
                           .what = SandboxNews{.state = "entered", .text = "seccomp; not: user"}};
  EXPECT_EQ(event_node(entered).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"sandbox",)"
            R"("state":"entered","text":"seccomp; not: user"})");
}

TEST(GuestEvents, ALostDiskAsJson) {
  const GuestEvent event{.time = {},
                         .guest = "main",
                         .what = DiskLost{.disk = "disk-1", .text = "its server has ended"}};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"disk",)"
            R"("disk":"disk-1","state":"lost","text":"its server has ended"})");
}

TEST(GuestEvents, AWordOfTheGuestAsJson) {
  GuestEvent event{.time = {},
                   .guest = "main",
                   .what = GuestWord{.channel = "exit_port", .word = "exit", .status = 3}};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"word",)"
            R"("channel":"exit_port","word":"exit","status":3})");
  event.what = GuestWord{.channel = "pvpanic", .word = "panic"};
  EXPECT_EQ(event_node(event).to_json(),
            R"({"time":"1970-01-01T00:00:00.000Z","guest":"main","event":"word",)"
            R"("channel":"pvpanic","word":"panic"})");
}

TEST(GuestEvents, ObserversAreToldUntilTheyAreRemoved) {
  GuestEvents events("main");
  std::vector<std::string> told;
  const auto first =
      events.add([&](const GuestEvent& event) { told.push_back("1 " + event.guest); });
  const auto second = events.add([&](const GuestEvent&) { told.emplace_back("2"); });
  events.state({});
  events.remove(first);
  events.reset({.reason = "start"});
  events.remove(second);
  events.state({});
  EXPECT_THAT(told, ElementsAre("1 main", "2", "2"));
}

TEST(GuestEvents, AllObserversHaveOneOrder) {
  GuestEvents events("main");
  std::vector<std::string> first;
  std::vector<std::string> second;
  std::vector<std::chrono::system_clock::time_point> times;
  events.add([&](const GuestEvent& event) {
    first.push_back(std::get<DevicesReset>(event.what).reason);
    times.push_back(event.time);
  });
  events.add([&](const GuestEvent& event) {
    second.push_back(std::get<DevicesReset>(event.what).reason);
  });
  const auto publish = [&](const std::string& who) {
    for (int i = 0; i < 100; ++i) {
      events.reset({.reason = who + std::to_string(i)});
    }
  };
  std::thread other([&] { publish("other "); });
  publish("this ");
  other.join();
  EXPECT_EQ(first.size(), 200U);
  EXPECT_EQ(first, second);
  EXPECT_TRUE(std::is_sorted(times.begin(), times.end()));
}

}  // namespace
}  // namespace gpuvm::guest_events_test
