// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/duration.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace gpuvm::duration_test {
namespace {

using std::chrono::seconds;

TEST(Duration, IsReadAsPeopleWriteIt) {
  const std::pair<const char*, int> rows[] = {
      {"0", 0},
      {"90", 90},
      {"90s", 90},
      {"30m", 1800},
      {"2h", 7200},
      {"1d", 86400},
      {"1h30m", 5400},
      {"1d2h3m4s", 93784},
      {"1000d", 86400000},
      {"1m30s", 90},
      {"30min", 1800},
      {"1h 30min", 5400},
      {"86400000", 86400000},
      {"10min", 600},
      {"1h30min5s", 5405},
  };
  for (const auto& [text, count] : rows) {
    EXPECT_EQ(parse_duration(text), seconds(count)) << text;
  }
}

TEST(Duration, OtherTextIsNone) {
  for (const char* text : {"",        "m",    "-1s",  "+1s",     "1.5h",     "1 h",
                           "1h  30m", "1h ",  " 1h",  "1h min",  "1mi",      "1x",
                           "1h30",    "1m1h", "1m1m", "1001d",   "86400001", "99999999999999999999",
                           "1mm",     "h1",   "0x10", "1000d1s", "1S"}) {
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
  }
}

TEST(Duration, IsWrittenSoThatItCanBeRead) {
  EXPECT_EQ(to_string(seconds(0)), "0s");
  EXPECT_EQ(to_string(seconds(5400)), "1h30m");
  EXPECT_EQ(to_string(seconds(93784)), "1d2h3m4s");
  for (const int count : {1, 59, 60, 3599, 3600, 86399, 86400000}) {
    EXPECT_EQ(parse_duration(to_string(seconds(count))), seconds(count));
  }
}

}  // namespace
}  // namespace gpuvm::duration_test
