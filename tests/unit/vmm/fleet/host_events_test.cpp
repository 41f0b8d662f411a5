// SPDX-License-Identifier: Apache-2.0
// The stream of a host's events: what is told once, what again, how much at most, and that each
// line is as docs/schemas/host-event.schema.json has it.
#include "vmm/fleet/host_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/fixtures/json_schema.hpp"
#include "tests/unit/vmm/fleet/look_fixture.hpp"

namespace gpuvm::host_events_test {
namespace {

using test::card_at;
using test::listed_guest;
using test::look_at_nothing;
using test::reset_note;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using Json = nlohmann::json;

const std::string kGpu = "0000:01:00.0";

class HostEventsTest : public testing::Test {
 protected:
  /// Each line held against the schema.
  std::vector<Json> tell(const HostLook& look) {
    std::vector<Json> events;
    for (const std::string& line : events_.tell(look)) {
      EXPECT_EQ(line.find('\n'), std::string::npos);
      events.push_back(Json::parse(line));
      const Json rule = test::alternative_for(events.back(), schema_, "event");
      EXPECT_TRUE(rule.is_object()) << line;
      if (rule.is_object()) {
        EXPECT_EQ(test::wrong_with(events.back(), rule, "$"), "") << line;
      }
    }
    return events;
  }
  std::vector<std::string> kinds(const HostLook& look) {
    std::vector<std::string> names;
    for (const Json& event : tell(look)) {
      names.push_back(event["event"]);
    }
    return names;
  }
  /// One card that has been reset twice, and its guest.
  static HostLook busy_host() {
    HostLook look = look_at_nothing();
    look.guests = {listed_guest("main", "running")};
    FleetCard card = card_at(kGpu);
    card.state = FleetCardState::kUsed;
    card.owner = "the guest main";
    card.pid = 42;
    card.resets.add(reset_note("hot reset"));
    card.resets.add(reset_note("slot power cycle"));
    look.cards = {card};
    return look;
  }

  const Json schema_ = test::schema_file("docs/schemas/host-event.schema.json");
  HostEvents events_;
};

TEST_F(HostEventsTest, FirstLookTellsAll) {
  const auto events = tell(busy_host());
  ASSERT_THAT(events, SizeIs(5));
  EXPECT_EQ(events[0]["event"], "host");
  EXPECT_EQ(events[0]["time"], "1970-01-01T00:16:40.000Z");
  EXPECT_EQ(events[0]["host"], "node-1");
  EXPECT_EQ(events[0]["used"], 1);
  EXPECT_EQ(events[0]["failed"], 0);
  EXPECT_EQ(events[1]["event"], "reset");
  EXPECT_EQ(events[1]["number"], 1);
  EXPECT_EQ(events[1]["harder"], false);
  EXPECT_EQ(events[1]["did_not_help"], Json::array());
  EXPECT_EQ(events[2]["time"], "1970-01-01T00:00:01.500Z") << "of the reset, not of the look";
  EXPECT_EQ(events[2]["method"], "slot power cycle");
  EXPECT_EQ(events[2]["usual"], "hot reset");
  EXPECT_EQ(events[2]["harder"], true);
  EXPECT_EQ(events[2]["missed"], 0);
  EXPECT_EQ(events[2]["functions"], Json::array({"0000:01:00.0", "0000:01:00.1"}));
  EXPECT_EQ(events[2]["did_not_help"], Json::array({"hot reset", "function reset"}));
  EXPECT_EQ(events[3]["event"], "card");
  EXPECT_EQ(events[3]["state"], "used");
  EXPECT_EQ(events[4]["event"], "guest");
  EXPECT_EQ(events[4]["devices"], Json::array({"0000:01:00.0", "0000:01:00.1"}));
}

TEST_F(HostEventsTest, ThenOnlyWhatChanges) {
  HostLook look = busy_host();
  ASSERT_THAT(tell(look), SizeIs(5));
  look.time += std::chrono::seconds(1);
  look.guests[0].status->uptime_s = 8;
  EXPECT_THAT(kinds(look), IsEmpty());
  look.guests[0].status->state = "paused";
  EXPECT_THAT(kinds(look), ElementsAre("guest"));
  look.cards[0].state = FleetCardState::kFailed;
  look.cards[0].text = "it did not verify";
  look.cards[0].resets.add(reset_note("hot reset", "failed"));
  EXPECT_THAT(kinds(look), ElementsAre("reset", "card"));
  look.guests.clear();
  EXPECT_THAT(kinds(look), ElementsAre("guest_gone"));
  EXPECT_THAT(kinds(look), IsEmpty());
  look.cards.clear();
  EXPECT_THAT(kinds(look), IsEmpty());
  look = busy_host();
  look.time -= std::chrono::seconds(1);
  EXPECT_THAT(kinds(look), ElementsAre("host", "reset", "reset", "card", "guest"))
      << "found anew; and the clock was put back";
}

TEST_F(HostEventsTest, HostSaysThatItLives) {
  HostLook look = look_at_nothing();
  EXPECT_THAT(kinds(look), ElementsAre("host"));
  look.time += std::chrono::seconds(59);
  EXPECT_THAT(kinds(look), IsEmpty());
  look.time += std::chrono::seconds(1);
  EXPECT_THAT(kinds(look), ElementsAre("host"));
}

// More came between two looks than a card keeps.
TEST_F(HostEventsTest, MissingCertificatesAreCounted) {
  HostLook look = busy_host();
  tell(look);
  for (int i = 0; i < 20; ++i) {
    look.cards[0].resets.add(reset_note("hot reset"));
  }
  const auto events = tell(look);
  ASSERT_THAT(events, SizeIs(ResetHistory::kMostNotes));
  EXPECT_EQ(events[0]["number"], 15);
  EXPECT_EQ(events[0]["missed"], 12);
  EXPECT_EQ(events[1]["missed"], 0);
  look.cards[0].resets = {};
  look.cards[0].resets.add(reset_note("hot reset"));
  EXPECT_THAT(kinds(look), ElementsAre("reset")) << "a history that somebody has removed";
}

TEST_F(HostEventsTest, OneLookTellsNoMoreThanItsMost) {
  HostLook look = look_at_nothing();
  for (int slot = 0; slot < 32; ++slot) {
    FleetCard card = card_at(fmt::format("0000:01:{:02x}.0", slot));
    for (std::size_t i = 0; i < ResetHistory::kMostNotes; ++i) {
      card.resets.add(reset_note("hot reset"));
    }
    look.cards.push_back(card);
    look.guests.push_back(listed_guest(fmt::format("guest-{}", slot), "running"));
  }
  std::size_t lines = 0;
  std::size_t looks = 0;
  for (std::vector<Json> told = tell(look); !told.empty(); told = tell(look), ++looks) {
    EXPECT_LE(told.size(), HostEvents::kMostLines);
    lines += told.size();
  }
  EXPECT_EQ(lines, 1 + 32 * ResetHistory::kMostNotes + 32 + 32) << "each once";
  EXPECT_GE(looks, lines / HostEvents::kMostLines);
}

TEST_F(HostEventsTest, WhatOthersSayIsBoundedAndNoCommandOfATerminal) {
  HostLook look = look_at_nothing();
  look.guests = {listed_guest("main", "running")};
  look.guests[0].status->state = "a\nb\x1b[2J" + std::string(100000, 'x');
  look.guests[0].status->devices.assign(1000, std::string(10, 'd'));
  FleetCard card = card_at(kGpu);
  card.state = FleetCardState::kDirty;
  card.text = "\xff\xfe";
  ResetNote note = reset_note("hot reset", "failed");
  note.functions = std::string(100000, ',');
  note.did_not_help = "a, , ";
  card.resets.add(note);
  look.cards = {card};
  for (const Json& event : tell(look)) {
    EXPECT_LT(event.dump().size(), 8192U);
  }
}

TEST_F(HostEventsTest, GuestThatDoesNotAnswer) {
  HostLook look = look_at_nothing();
  look.guests = {{.name = "main", .path = "/run/gpuvm/main.sock", .problem = "no answer"}};
  const auto events = tell(look);
  ASSERT_THAT(events, SizeIs(2));
  EXPECT_EQ(events[1]["state"], "unknown");
  EXPECT_EQ(events[1]["problem"], "no answer");
  EXPECT_EQ(events[1]["pid"], 0);
}

TEST(HostEventSchema, TheCheckItselfCanFail) {
  const Json schema = test::schema_file("docs/schemas/host-event.schema.json");
  HostEvents events;
  Json event = Json::parse(events.tell(look_at_nothing()).front());
  const Json rule = test::alternative_for(event, schema, "event");
  ASSERT_TRUE(rule.is_object());
  EXPECT_EQ(test::wrong_with(event, rule, "$"), "");
  event["more"] = 1;
  EXPECT_NE(test::wrong_with(event, rule, "$"), "");
  event.erase("more");
  event["cards"] = -1;
  EXPECT_NE(test::wrong_with(event, rule, "$"), "");
  event["event"] = "other";
  EXPECT_TRUE(test::alternative_for(event, schema, "event").is_null());
}

}  // namespace
}  // namespace gpuvm::host_events_test
