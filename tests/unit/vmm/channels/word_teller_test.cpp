// SPDX-License-Identifier: Apache-2.0
// What is passed on of what a guest says without end.
#include "vmm/channels/word_teller.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace gpuvm::word_teller_test {
namespace {

class WordTellerTest : public ::testing::Test {
 protected:
  std::string inspected(std::string_view field) const {
    InspectNode node;
    teller_.inspect(node);
    return std::string(node.get(field));
  }
  std::vector<GuestWord> words_;
  WordTeller teller_{"vsock", "vsock",
                     [this](GuestWord word) { words_.push_back(std::move(word)); }};
};

TEST_F(WordTellerTest, WordsOfBothKinds) {
  teller_.tell_line("READY");
  teller_.tell_line("3");
  ASSERT_EQ(words_.size(), 2U);
  EXPECT_EQ(words_[0].channel, "vsock");
  EXPECT_EQ(words_[0].word, "ready");
  EXPECT_FALSE(words_[0].status);
  EXPECT_EQ(words_[1].word, "exit");
  EXPECT_EQ(words_[1].status, 3U);
}

TEST_F(WordTellerTest, AFloodIsBounded) {
  for (unsigned i = 0; i < 10000; ++i) {
    teller_.tell_line("READY");
    teller_.tell_line("\x1b[2J nonsense \xff");
  }
  EXPECT_EQ(words_.size(), WordTeller::kMostWords);
  teller_.tell_line("3");
  EXPECT_EQ(words_.size(), WordTeller::kMostWords + 1) << "a status is of another kind";
  EXPECT_EQ(inspected("ready"), "10000");
  EXPECT_EQ(inspected("exit"), "1");
  EXPECT_EQ(inspected("nonsense"), "10000");
}

}  // namespace
}  // namespace gpuvm::word_teller_test
