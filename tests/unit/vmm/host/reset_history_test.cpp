// SPDX-License-Identifier: Apache-2.0
// What is kept of a card's resets: counts that stay, the last certificates, and whatever else may
// be in the file.
#include "vmm/host/reset_history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host/device_claim.hpp"

namespace gpuvm::reset_history_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const std::string kGpu = "0000:01:00.0";
const std::string kFolder(kResetFolder);

ResetNote note(const std::string& method, const std::string& verdict = "verified") {
  ResetNote made{.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500)),
                 .duration = std::chrono::milliseconds(20)};
  made.owner = "the guest main";
  made.reason = "start";
  made.method = method;
  made.usual = "hot reset";
  made.verdict = verdict;
  made.functions = "0000:01:00.0, 0000:01:00.1";
  made.did_not_help = method == "hot reset" ? "" : "hot reset";
  made.text = "words\tof\nit";
  return made;
}

class ResetHistoryTest : public testing::Test {
 protected:
  ResetHistoryFile open() {
    auto file = ResetHistoryFile::open(host_.path(kFolder), bdf_of(kGpu));
    EXPECT_TRUE(file) << file.error().to_string();
    return std::move(file).value();
  }
  ResetHistory read() {
    auto history = read_reset_history(host_, bdf_of(kGpu));
    EXPECT_TRUE(history);
    return history.value_or(ResetHistory{});
  }
  FakeHost host_;
};

TEST_F(ResetHistoryTest, NextProcessGoesOnCounting) {
  EXPECT_THAT(cards_with_history(host_), IsEmpty());
  EXPECT_FALSE(read_reset_history(host_, bdf_of(kGpu)));
  ASSERT_TRUE(open().add(note("hot reset")));
  ASSERT_TRUE(open().add(note("slot power cycle")));
  ASSERT_TRUE(open().add(note("slot power cycle", "failed")));
  const ResetHistory history = read();
  EXPECT_EQ(history.count, 3U);
  EXPECT_EQ(history.harder, 1U) << "one that failed has not come back by a harder reset";
  EXPECT_EQ(history.failed, 1U);
  ASSERT_THAT(history.totals, SizeIs(3));
  EXPECT_EQ(history.totals[1].method, "slot power cycle");
  EXPECT_EQ(history.totals[1].verdict, "verified");
  EXPECT_EQ(history.totals[1].count, 1U);
  EXPECT_EQ(history.totals[1].duration.count(), 20);
  ASSERT_THAT(history.notes, SizeIs(3));
  const ResetNote& last = history.notes.back();
  EXPECT_EQ(last.number, 3U);
  EXPECT_EQ(last.time.time_since_epoch(), std::chrono::milliseconds(1500));
  EXPECT_EQ(last.duration.count(), 20);
  EXPECT_EQ(last.owner, "the guest main");
  EXPECT_EQ(last.reason, "start");
  EXPECT_EQ(last.usual, "hot reset");
  EXPECT_EQ(last.functions, "0000:01:00.0, 0000:01:00.1");
  EXPECT_EQ(last.did_not_help, "hot reset");
  EXPECT_EQ(last.text, "words of it");
  EXPECT_EQ(history.notes.front().did_not_help, "") << "an empty field keeps its place";
  EXPECT_EQ(history.notes.front().text, "words of it");
  EXPECT_THAT(cards_with_history(host_), ElementsAre(bdf_of(kGpu)));
}

TEST_F(ResetHistoryTest, CardWithoutAUsualMethodNeedsNoHarderOne) {
  ResetNote made = note("slot power cycle");
  EXPECT_TRUE(made.is_harder());
  made.usual = "";
  EXPECT_FALSE(made.is_harder());
  EXPECT_FALSE(note("hot reset").is_harder());
  EXPECT_FALSE(note("rescan", "failed").is_harder());
}

TEST_F(ResetHistoryTest, FileStaysSmall) {
  auto file = open();
  for (int i = 0; i < 100; ++i) {
    ResetNote long_one = note(fmt::format("method {}", i));
    long_one.text = std::string(5000, 'x');
    long_one.functions = std::string(5000, 'y');
    long_one.did_not_help = std::string(5000, 'z');
    ASSERT_TRUE(file.add(std::move(long_one)));
  }
  struct stat info {};
  ASSERT_EQ(::stat(host_.path(kFolder + "/" + kGpu).c_str(), &info), 0);
  EXPECT_LE(info.st_size, 32 << 10);
  const ResetHistory history = read();
  EXPECT_EQ(history.count, 100U);
  EXPECT_EQ(history.harder, 100U);
  EXPECT_THAT(history.totals, SizeIs(ResetHistory::kMostTotals));
  ASSERT_THAT(history.notes, SizeIs(ResetHistory::kMostNotes));
  EXPECT_EQ(history.notes.back().number, 100U);
  EXPECT_THAT(history.notes.back().text, SizeIs(1024));
}

// A shorter text in a longer one's place: who reads in between sees the end of the old one.
TEST_F(ResetHistoryTest, TextEndsAtItsEnd) {
  ResetHistory history;
  history.add(note("hot reset"));
  const std::string text = history.to_text();
  const auto read = ResetHistory::parse(text + "count=7\nrest of an older text");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->count, 1U);
  EXPECT_FALSE(ResetHistory::parse(text.substr(0, text.size() - 1))) << "cut short";
  EXPECT_FALSE(ResetHistory::parse(""));
}

TEST_F(ResetHistoryTest, AnythingMayBeInIt) {
  std::string many;
  for (int i = 0; i < 1000; ++i) {
    many += "note=1\ntotal=a\tb\tc\td\te\n";
  }
  const auto read = ResetHistory::parse(
      "count=-1\nharder=99999999999999999999999\nfailed=1x\n\n=\nnote="
      "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t"
      "\t\t\t\nnote=18446744073709551615\t18446744073709551615\t18446744073709551615\n" +
      many + "end\n");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->count, 0U);
  EXPECT_EQ(read->harder, 0U);
  EXPECT_EQ(read->failed, 0U);
  EXPECT_THAT(read->notes, SizeIs(ResetHistory::kMostNotes));
  EXPECT_THAT(read->totals, SizeIs(ResetHistory::kMostTotals));
  host_.file(kFolder + "/" + kGpu, "no history");
  ASSERT_TRUE(open().add(note("hot reset")));
  EXPECT_EQ(this->read().count, 1U) << "it starts anew";
  host_.file(kFolder + "/notes.txt", "");
  host_.file(kFolder + "/01:00.0", "");
  EXPECT_THAT(cards_with_history(host_), ElementsAre(bdf_of(kGpu)));
}

TEST_F(ResetHistoryTest, NothingButAFileIsOpened) {
  host_.directory(kFolder);
  const std::string path = host_.path(kFolder + "/" + kGpu);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(read_reset_history(host_, bdf_of(kGpu)));
  const auto opened = ResetHistoryFile::open(host_.path(kFolder), bdf_of(kGpu));
  ASSERT_FALSE(opened);
  EXPECT_THAT(opened.error().message(), HasSubstr("is no file: remove it"));
}

TEST_F(ResetHistoryTest, ClaimKeepsItUntilItIsHandedOver) {
  host_.directory("/run/gpuvm");
  auto claim = DeviceClaim::take(host_, bdf_of(kGpu), "the guest main");
  ASSERT_TRUE(claim) << claim.error().to_string();
  EXPECT_FALSE(host_.exists(kFolder)) << "nothing before the first reset";
  DeviceClaim moved(std::move(*claim));
  ASSERT_TRUE(moved.note_reset(note("hot reset")));
  ASSERT_TRUE(moved.note_reset(note("hot reset")));
  EXPECT_EQ(read().count, 2U);
  UniqueFd file = moved.hand_over();
  ASSERT_TRUE(moved.note_reset(note("hot reset")));
  EXPECT_EQ(read().count, 2U) << "another process has it";
  auto adopted = DeviceClaim::adopt(host_, bdf_of(kGpu), std::move(file));
  ASSERT_TRUE(adopted) << adopted.error().to_string();
  ASSERT_TRUE(adopted->note_reset(note("hot reset")));
  EXPECT_EQ(read().count, 3U);
  EXPECT_EQ(read().notes.back().owner, "the guest main");
}

TEST_F(ResetHistoryTest, FolderThatOthersMayWriteToIsUsedForNothing) {
  host_.directory("/run/gpuvm");
  host_.directory(kFolder);
  ASSERT_EQ(::chmod(host_.path(kFolder).c_str(), 0777), 0);
  auto claim = DeviceClaim::take(host_, bdf_of(kGpu), "the guest main");
  ASSERT_TRUE(claim);
  const Status noted = claim->note_reset(note("hot reset"));
  ASSERT_FALSE(noted);
  EXPECT_THAT(noted.error().message(), HasSubstr("chmod go-w"));
  EXPECT_TRUE(claim->note_reset(note("hot reset"))) << "said once";
  EXPECT_THAT(host_.list(kFolder), IsEmpty());
}

}  // namespace
}  // namespace gpuvm::reset_history_test
