// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/clean_text.hpp"

#include <gtest/gtest.h>

#include <string>

namespace gpuvm::clean_text_test {
namespace {

TEST(CleanTextTest, KeepsText) {
  EXPECT_EQ(clean_text("a\tb\nc ~ ü € 😀"), "a\tb\nc ~ ü € 😀");
}

TEST(CleanTextTest, DropsControlCharacters) {
  EXPECT_EQ(clean_text(std::string("a\0\x01\b\r\x7f\x0c"
                                   "b",
                                   8)),
            "ab");
}

TEST(CleanTextTest, DropsTheOtherControlCharacters) {
  EXPECT_EQ(clean_text("a\xc2\x80\xc2\x9b"
                       "31m\xc2\x9f\xc2\xa0\xc3\x9b"),
            "a31m\xc2\xa0\xc3\x9b");
}

TEST(CleanTextTest, DropsEscapeSequences) {
  EXPECT_EQ(clean_text("\x1b[1;31mred\x1b[0m"), "red");
  EXPECT_EQ(clean_text("\x1b]0;title\abody"), "body");
  EXPECT_EQ(clean_text("\x1b]0;title\x1b\\body"), "body");
  EXPECT_EQ(clean_text("\x1b(Bx"), "Bx");  // two bytes: what is behind is harmless
  EXPECT_EQ(clean_text("\x1b]never ends"), "never ends");
  EXPECT_EQ(clean_text("x\x1b"), "x");
  EXPECT_EQ(clean_text("x\x1b["), "x");
  EXPECT_EQ(clean_text("\x1b[31\ny"), "31\ny");
}

TEST(CleanTextTest, ReplacesWhatIsNoUtf8) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(clean_text("a\xff"
                       "b"),
            "a" + bad + "b");
  EXPECT_EQ(clean_text("\xc3"), bad);                                // cut short
  EXPECT_EQ(clean_text("\xc0\x80"), bad + bad);                      // too long a form of NUL
  EXPECT_EQ(clean_text("\xe0\x80\xaf"), bad + bad + bad);            // of "/"
  EXPECT_EQ(clean_text("\xed\xa0\x80"), bad + bad + bad);            // a surrogate
  EXPECT_EQ(clean_text("\xf4\x90\x80\x80"), bad + bad + bad + bad);  // beyond U+10FFFF
}

TEST(CleanTextTest, ReplacesWhatXmlHasNoPlaceFor) {
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(clean_text("\xef\xbf\xbe"), bad + bad + bad);  // U+FFFE
  EXPECT_EQ(clean_text("\xef\xbf\xbf"), bad + bad + bad);  // U+FFFF
  EXPECT_EQ(clean_text("\xef\xbf\xbd"), bad);              // U+FFFD itself
}

TEST(CleanTextTest, ALineHasNoNewlineAndEndsWithAWholeCharacter) {
  EXPECT_EQ(clean_line("a\nb\tc", 100), "a b c");
  EXPECT_EQ(clean_line("aaa€", 5), "aaa");
  EXPECT_EQ(clean_line("aaa€", 6), "aaa€");
  EXPECT_EQ(clean_line("€", 2), "");
  EXPECT_EQ(clean_line(std::string(100000, 'x'), 10), "xxxxxxxxxx");
}

}  // namespace
}  // namespace gpuvm::clean_text_test
