// SPDX-License-Identifier: Apache-2.0
// Events of another process's guest: what event_node() writes is read again, and nothing else does
// harm.
#include "vmm/pool/event_reader.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gpuvm::pool::event_reader_test {
namespace {

using Time = std::chrono::system_clock::time_point;

class EventReader : public testing::Test {
 protected:
  EventReader() {
    events_.add([this](const GuestEvent& event) { heard_.push_back(event); });
  }
  static std::string line_of(const GuestEvent& event) { return event_node(event).to_json(); }
  /// Of an event at this time.
  template <class What>
  bool publish(What what, Time time = Time(std::chrono::seconds(2000000001))) {
    GuestEvent event;
    event.time = time;
    event.guest = "other";
    event.what = std::move(what);
    return publish_line(line_of(event), since_, events_);
  }
  template <class What>
  const What& last() {
    return std::get<What>(heard_.back().what);
  }
  const Time since_ = Time(std::chrono::seconds(2000000000));
  GuestEvents events_{"mine"};
  std::vector<GuestEvent> heard_;
};

TEST_F(EventReader, AWord) {
  EXPECT_TRUE(publish(GuestWord{.channel = "status_port", .word = "exit", .status = 3}));
  ASSERT_EQ(heard_.size(), 1U);
  EXPECT_EQ(heard_.front().guest, "mine");
  EXPECT_EQ(last<GuestWord>().channel, "status_port");
  EXPECT_EQ(last<GuestWord>().word, "exit");
  EXPECT_EQ(last<GuestWord>().status, 3U);
  EXPECT_TRUE(publish(GuestWord{.channel = "pvpanic", .word = "panic"}));
  EXPECT_EQ(last<GuestWord>().status, std::nullopt);
}

TEST_F(EventReader, TextsOfAHostileGuestAreBoundedAndObeyedByNobody) {
  EXPECT_TRUE(publish(GuestWord{.channel = "status_port",
                                .word = "\x1b[2J"
                                        "done"}));
  EXPECT_EQ(last<GuestWord>().word, "?[2Jdone");
  EXPECT_TRUE(publish(DiskLost{.disk = "0", .text = std::string(100000, 'x')}));
  EXPECT_EQ(last<DiskLost>().text.size(), 4096U);
}

TEST_F(EventReader, Resets) {
  EXPECT_TRUE(publish(DevicesReset{.reason = "stop",
                                   .functions = "0000:01:00.0",
                                   .method = "hot reset",
                                   .verdict = "verified",
                                   .duration_ms = 131,
                                   .text = "fine"}));
  EXPECT_EQ(last<DevicesReset>().verdict, "verified");
  EXPECT_EQ(last<DevicesReset>().duration_ms, 131U);
}

TEST_F(EventReader, ChangesOfState) {
  EXPECT_TRUE(publish(StateChange{.from = LifecycleState::kRunning,
                                  .to = LifecycleState::kStopping,
                                  .holdings = {.memory_slots = 6, .heap_bytes = 7}}));
  EXPECT_EQ(last<StateChange>().to, LifecycleState::kStopping);
  EXPECT_EQ(last<StateChange>().holdings.memory_slots, 6U);
  EXPECT_FALSE(
      publish(StateChange{.from = LifecycleState::kPaused, .to = LifecycleState::kRunning}))
      << "who took it says so";
}

// A pool's guest has had a boot, which is nobody's.
TEST_F(EventReader, WhatWasBeforeIsLeftOut) {
  EXPECT_FALSE(publish(GuestWord{.channel = "status_port", .word = "ready"},
                       since_ - std::chrono::milliseconds(1)));
  EXPECT_TRUE(publish(GuestWord{.channel = "status_port", .word = "ready"}, since_));
  EXPECT_EQ(heard_.size(), 1U);
}

TEST_F(EventReader, TheOthers) {
  EXPECT_TRUE(publish(NetworkLost{.network = "net-0", .text = "gone"}));
  EXPECT_TRUE(publish(DiskLost{.disk = "disk-0", .text = "gone"}));
  EXPECT_TRUE(publish(ShareLost{.tag = "home", .text = "gone"}));
  EXPECT_TRUE(publish(SandboxNews{.state = "violated", .text = "a call"}));
  EXPECT_TRUE(publish(ScrubUnderWay{.function = "0000:01:00.0", .done_bytes = 1, .all_bytes = 2}));
  EXPECT_EQ(last<ScrubUnderWay>().all_bytes, 2U);
  EXPECT_TRUE(publish(CardMoved{.card = "0000:01:00.0", .port = 3, .step = "announced"}));
  EXPECT_EQ(last<CardMoved>().port, 3U);
  EXPECT_EQ(last<CardMoved>().step, "announced");
  EXPECT_FALSE(publish(EndAsked{.signal = 15})) << "who took it knows who asked";
}

TEST_F(EventReader, HostileLines) {
  for (const char* const line :
       {"", "{", "[]", "\xff", "{\"event\":\"word\"}",
        R"({"time":"2099-01-01T00:00:00.000Z","event":"word"})",
        R"({"time":"2099-01-01T00:00:00.000Z","event":"word","channel":5,"word":"exit"})",
        R"({"time":"2099-01-01T00:00:00.000Z","event":"state","from":"running","to":"flying"})",
        R"({"time":"2099-01-01T00:00:00.000Z","event":{"word":1}})",
        R"({"time":"2099","event":"word","channel":"x","word":"exit"})",
        R"({"time":5,"event":"disk","disk":"disk-0"})",
        R"({"time":"2099-01-01T00:00:00.000Z","event":"attach"})"}) {
    EXPECT_FALSE(publish_line(line, since_, events_)) << line;
  }
  EXPECT_TRUE(heard_.empty());
  EXPECT_TRUE(publish_line(
      R"({"time":"2099-01-01T00:00:00.000Z","event":"word","channel":"vsock","word":"exit",)"
      R"("status":99999999999999})",
      since_, events_));
  EXPECT_EQ(last<GuestWord>().status, ~std::uint32_t{0});
}

}  // namespace
}  // namespace gpuvm::pool::event_reader_test
