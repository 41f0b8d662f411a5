// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/console_line.hpp"

#include <gtest/gtest.h>

#include <string>

namespace gpuvm::console_line_test {
namespace {

TEST(ConsoleLineTest, WithoutWhatPrintkPutsInFront) {
  EXPECT_EQ(without_log_prefix("ok 1"), "ok 1");
  EXPECT_EQ(without_log_prefix("[    1.234567] ok 1"), "ok 1");
  EXPECT_EQ(without_log_prefix("[12345.234567] ok 1"), "ok 1");
  EXPECT_EQ(without_log_prefix("<6>ok 1"), "ok 1");
  EXPECT_EQ(without_log_prefix("<6>[    1.234567] ok 1"), "ok 1");
  EXPECT_EQ(without_log_prefix("[    1.234567][  T123] ok 1"), "ok 1");
  EXPECT_EQ(without_log_prefix("[    1.234567][    C0] ok 1"), "ok 1");
}

TEST(ConsoleLineTest, BlanksOfTheProgramStay) {
  EXPECT_EQ(without_log_prefix("[    1.234567]     ok 1"), "    ok 1");
  EXPECT_EQ(without_log_prefix("    ok 1"), "    ok 1");
}

TEST(ConsoleLineTest, EndsBeforeBlanksAndCarriageReturns) {
  EXPECT_EQ(without_log_prefix("ok 1 \t\r"), "ok 1");
  EXPECT_EQ(without_log_prefix("\r"), "");
}

TEST(ConsoleLineTest, WhatOnlyLooksLikeIt) {
  for (const std::string line :
       {"[  OK  ] Started", "[drm] ready", "[1] 4711", "[1.] x", "[.5] x", "[T12] x", "<> x",
        "<1234>x", "<6", "[", "[ 1.5", "[1234567890123.5] x"}) {
    EXPECT_EQ(without_log_prefix(line), line);
  }
}

}  // namespace
}  // namespace gpuvm::console_line_test
