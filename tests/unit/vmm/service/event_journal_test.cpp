// SPDX-License-Identifier: Apache-2.0
// Which events are entries of the journal, and how they are found there.
#include "vmm/service/event_journal.hpp"

#include <gmock/gmock.h>

#include <set>

namespace gpuvm::event_journal_test {
namespace {

using testing::HasSubstr;

TEST(EventJournal, IdsAreAsTheJournalTakesThem) {
  std::set<std::string_view> ids;
  for (const auto id :
       {kResetFailedId, kGuestPanicId, kGuestStateId, kDevicesResetId, kThingLostId}) {
    EXPECT_THAT(std::string(id), testing::MatchesRegex("[0-9a-f]{32}"));
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 5U);
}

TEST(EventJournal, AResetThatFailed) {
  const GuestEvent event{.what = DevicesReset{.reason = "stop",
                                              .functions = "0000:01:00.0",
                                              .method = "hot reset",
                                              .verdict = "failed",
                                              .duration_ms = 7,
                                              .text = "no answer"}};
  const auto entry = entry_of(event);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->level, log::Level::kError);
  EXPECT_EQ(entry->event.message_id, kResetFailedId);
  EXPECT_EQ(entry->event.device, "0000:01:00.0");
  EXPECT_EQ(entry->event.name, "reset");
  EXPECT_EQ(entry->text, "Reset of 0000:01:00.0 (stop) by hot reset: failed, 7 ms. no answer");
}

TEST(EventJournal, OneThatDidNot) {
  const GuestEvent event{.what = DevicesReset{.functions = "a", .verdict = "verified"}};
  const auto entry = entry_of(event);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->level, log::Level::kInfo);
  EXPECT_EQ(entry->event.message_id, kDevicesResetId);
}

TEST(EventJournal, PanicsAndWhatIsLost) {
  const GuestEvent panic{.what = GuestWord{.channel = "pvpanic", .word = "panic"}};
  ASSERT_TRUE(entry_of(panic));
  EXPECT_EQ(entry_of(panic)->event.message_id, kGuestPanicId);
  EXPECT_THAT(entry_of(panic)->text, HasSubstr("pvpanic"));
  const GuestEvent disk{.what = DiskLost{.disk = "disk-0", .text = "gone"}};
  ASSERT_TRUE(entry_of(disk));
  EXPECT_EQ(entry_of(disk)->event.message_id, kThingLostId);
  EXPECT_EQ(entry_of(disk)->event.device, "disk-0");
}

// A guest must not fill the host's journal.
TEST(EventJournal, WordsThatAGuestMayRepeatAreNone) {
  EXPECT_FALSE(entry_of({.what = GuestWord{.channel = "vsock", .word = "ready"}}));
  EXPECT_FALSE(entry_of({.what = GuestWord{.channel = "vsock", .word = "exit", .status = 3}}));
}

}  // namespace
}  // namespace gpuvm::event_journal_test
