// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/console_lines.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <vector>

namespace gpuvm::console_lines_test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using TimePoint = std::chrono::system_clock::time_point;

class Lines : public testing::Test {
 protected:
  void print(std::string_view text, TimePoint now = {}) {
    lines_.add(std::as_bytes(std::span(text)), now);
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const ConsoleLine& line : seen_) {
      all.push_back(line.text);
    }
    return all;
  }
  std::vector<ConsoleLine> seen_;
  ConsoleLines lines_{[this](const ConsoleLine& line) { seen_.push_back(line); }};
};

TEST_F(Lines, EndWithALineFeedAndLoseTheCarriageReturn) {
  print("one\r\ntwo\n\nthr");
  EXPECT_THAT(texts(), ElementsAre("one", "two", ""));
  print("ee");
  lines_.finish();
  lines_.finish();
  EXPECT_THAT(texts(), ElementsAre("one", "two", "", "three"));
}

TEST_F(Lines, HaveTheTimeOfTheirFirstByte) {
  print("a", TimePoint(milliseconds(1)));
  print("b\nc", TimePoint(milliseconds(2)));
  print("\n", TimePoint(milliseconds(3)));
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[0].time, TimePoint(milliseconds(1)));
  EXPECT_EQ(seen_[1].time, TimePoint(milliseconds(2)));
}

TEST_F(Lines, AreCutSoThatNoGuestFillsOurMemory) {
  print(std::string(2 * ConsoleLines::kLongest + 5, 'x') + "\n");
  ASSERT_EQ(seen_.size(), 3U);
  EXPECT_EQ(seen_[0].text.size(), ConsoleLines::kLongest);
  EXPECT_TRUE(seen_[0].is_cut);
  EXPECT_TRUE(seen_[1].is_cut);
  EXPECT_EQ(seen_[2].text, "xxxxx");
  EXPECT_FALSE(seen_[2].is_cut);
}

TEST_F(Lines, OfExactlyTheLongestAreWhole) {
  print(std::string(ConsoleLines::kLongest, 'x') + "\n");
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_FALSE(seen_[0].is_cut);
}

// ECMA-48: CSI … final byte; OSC up to BEL or ST; two-byte sequences; ESC ( B with an intermediate.
TEST_F(Lines, HaveNoColoursAndNoControlCharacters) {
  print("\x1b[1;32m[ OK ]\x1b[0m done\x1b(B!\x07\x08\x7f\t.\n");
  print("\x1b]0;a title\x07shell\x1b]0;another\x1b\\ $\n");
  print(
      "\x1b"
      "7saved\x1b"
      "8\n");
  EXPECT_THAT(texts(), ElementsAre("[ OK ] done!\t.", "shell $", "saved"));
}

TEST_F(Lines, AreNotSwallowedByASequenceWithoutAnEnd) {
  print("\x1b]0;" + std::string(300, 'x') + "tail\n");
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_TRUE(seen_[0].text.ends_with("xtail"));
  print("\x1b[\nnext\n");
  EXPECT_EQ(seen_.back().text, "next");
}

// A program that dies in the middle of one, and then the kernel.
TEST_F(Lines, AreNotHiddenByAStringThatDoesNotEndInItsLine) {
  print("\x1b][    1.5] Kernel panic - not syncing: x\r\n");
  print("\x1bPone\x1b\ntwo \x1b]0;title\x07three\n\x1b]0;end");
  lines_.finish();
  EXPECT_THAT(texts(),
              ElementsAre("[    1.5] Kernel panic - not syncing: x", "one", "two three", "0;end"));
}

TEST_F(Lines, KeepBytesThatAreNoText) {
  print("\xff\xc3\xbc\n");
  EXPECT_THAT(texts(), ElementsAre("\xff\xc3\xbc"));
}

// A terminal takes U+009B for ESC [, and U+0090 for ESC P.
TEST_F(Lines, HaveNoControlCharactersOfTwoBytesEither) {
  print("a\xc2\x9b");
  print("2Jb\xc2");
  print("\x90 \xc2\xa0\xc3\x9b\n");
  EXPECT_THAT(texts(), ElementsAre("a2Jb \xc2\xa0\xc3\x9b"));
}

TEST_F(Lines, NothingIsNoLine) {
  lines_.finish();
  print("");
  lines_.finish();
  EXPECT_THAT(seen_, IsEmpty());
}

}  // namespace
}  // namespace gpuvm::console_lines_test
