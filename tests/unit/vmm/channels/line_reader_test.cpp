// SPDX-License-Identifier: Apache-2.0
// Lines out of bytes that a guest cuts as it likes.
#include "vmm/channels/line_reader.hpp"

#include <gmock/gmock.h>

#include <string>
#include <vector>

namespace gpuvm::line_reader_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class LineReaderTest : public ::testing::Test {
 protected:
  void add(std::string_view text) {
    reader_.add(std::as_bytes(std::span(text.data(), text.size())));
  }
  std::vector<std::string> lines_;
  LineReader reader_{[this](std::string_view line) { lines_.emplace_back(line); }};
};

TEST_F(LineReaderTest, PiecesOfAnySize) {
  for (const char c : std::string("3\r\n\n\r\nREADY\n12")) {
    add(std::string_view(&c, 1));
  }
  EXPECT_THAT(lines_, ElementsAre("3", "READY"));
  reader_.end();
  reader_.end();
  EXPECT_THAT(lines_, ElementsAre("3", "READY", "12"));
}

TEST_F(LineReaderTest, ALineThatIsTooLongIsNone) {
  const std::string longest(LineReader::kMostLine, 'x');
  add(longest + "\n");
  add(longest + "3\n");
  add(longest + longest + longest + "\n4\n");
  EXPECT_THAT(lines_, ElementsAre(longest, "4"));
  add(longest + longest);
  reader_.end();
  EXPECT_EQ(lines_.size(), 2U) << "nor at the end";
}

// "12" of which "3" was lost is not "12", and what comes behind a hole is not "3".
TEST_F(LineReaderTest, BytesThatAreMissing) {
  add("12");
  reader_.cut();
  add("3\n4\n");
  EXPECT_THAT(lines_, ElementsAre("4"));
}

TEST_F(LineReaderTest, AnotherWriterBeginsAnew) {
  add("1");
  reader_.clear();
  add("2\n");
  reader_.cut();
  reader_.clear();
  add("3\n");
  EXPECT_THAT(lines_, ElementsAre("2", "3"));
}

TEST_F(LineReaderTest, Nothing) {
  add("");
  reader_.end();
  add("\n\r\n\r");
  reader_.end();
  EXPECT_THAT(lines_, IsEmpty());
}

}  // namespace
}  // namespace gpuvm::line_reader_test
