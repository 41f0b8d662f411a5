// SPDX-License-Identifier: Apache-2.0
// A host's numbers in Prometheus' text format.
#include "vmm/fleet/host_metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/vmm/fleet/look_fixture.hpp"

namespace gpuvm::host_metrics_test {
namespace {

using test::card_at;
using test::listed_guest;
using test::look_at_nothing;
using test::reset_note;
using testing::HasSubstr;
using testing::Not;

TEST(HostMetrics, CardsAndGuests) {
  HostLook look = look_at_nothing();
  FleetCard card = card_at("0000:01:00.0");
  card.state = FleetCardState::kFailed;
  card.resets.add(reset_note("hot reset"));
  card.resets.add(reset_note("hot reset"));
  card.resets.add(reset_note("slot power cycle"));
  card.resets.add(reset_note("slot power cycle", "failed"));
  look.cards = {card, card_at("0000:02:00.0")};
  look.guests = {listed_guest("a", "running"), listed_guest("b", "running"),
                 listed_guest("c", "paused"), listed_guest("d", "x\"}\n")};
  const std::string text = host_metrics(look);
  for (const char* line :
       {"# TYPE gpuvm_card_harder_resets_total counter\n"
        "gpuvm_card_harder_resets_total{card=\"0000:01:00.0\"} 1\n",
        "gpuvm_card_failed_resets_total{card=\"0000:01:00.0\"} 1\n",
        "gpuvm_card_resets_total{card=\"0000:01:00.0\",method=\"hot reset\",verdict=\"verified\"} "
        "2\n",
        "gpuvm_card_reset_seconds_total{card=\"0000:01:00.0\",method=\"hot reset\","
        "verdict=\"verified\"} 0.500\n",
        "gpuvm_card_last_reset_timestamp_seconds{card=\"0000:01:00.0\"} 1.500\n",
        "gpuvm_card_state{card=\"0000:01:00.0\",state=\"failed\"} 1\n",
        "gpuvm_card_state{card=\"0000:01:00.0\",state=\"free\"} 0\n",
        "gpuvm_card_state{card=\"0000:02:00.0\",state=\"free\"} 1\n",
        "gpuvm_guests{state=\"running\"} 2\n", "gpuvm_guests{state=\"paused\"} 1\n",
        "gpuvm_guests{state=\"unknown\"} 1\n", "gpuvm_host_look_timestamp_seconds 1000.000\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(text, Not(HasSubstr("harder_resets_total{card=\"0000:02:00.0\"}")));
}

// The format wants a metric's lines together, and a last line feed.
TEST(HostMetrics, OfNothingIsStillAText) {
  const std::string text = host_metrics(look_at_nothing());
  EXPECT_THAT(text, HasSubstr("gpuvm_guests{state=\"running\"} 0\n"));
  EXPECT_TRUE(text.ends_with("1000.000\n"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '{'), 1);
}

TEST(HostMetrics, LabelsAreEscaped) {
  HostLook look = look_at_nothing();
  FleetCard card = card_at("0000:01:00.0");
  card.resets.add(reset_note("a\"b\\c\nd\xff"));
  look.cards = {card};
  EXPECT_THAT(host_metrics(look), HasSubstr(R"(method="a\"b\\c?d?")"));
}

}  // namespace
}  // namespace gpuvm::host_metrics_test
