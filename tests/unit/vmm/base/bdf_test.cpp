// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/bdf.hpp"

#include <gtest/gtest.h>

namespace gpuvm::bdf_test {
namespace {

TEST(Bdf, ParsesBothForms) {
  EXPECT_EQ(Bdf::parse("0000:01:00.0"), (Bdf{0, 1, 0, 0}));
  EXPECT_EQ(Bdf::parse("abCD:Ef:1f.7"), (Bdf{0xabcd, 0xef, 0x1f, 7}));
  EXPECT_EQ(Bdf::parse("41:00.1"), (Bdf{0, 0x41, 0, 1}));
}

TEST(Bdf, RefusesEverythingElse) {
  for (const char* text : {"",
                           "01",
                           "01:00",
                           "01:00.",
                           "01:00.8",
                           "01:20.0",
                           "1:00.0",
                           "001:00.0",
                           "0000:01:00.00",
                           "0000:01:00.0 ",
                           " 0000:01:00.0",
                           "0000:01:00,0",
                           "0000-01:00.0",
                           "00000:01:00.0",
                           "0x00:01:00.0",
                           "+0:01.0",
                           "-1:00.0",
                           "0000:g1:00.0",
                           "10000:01:00.0",
                           "0000:0000:01:00.0"}) {
    EXPECT_FALSE(Bdf::parse(text)) << text;
  }
  EXPECT_FALSE(Bdf::parse(std::string_view("01:00.0\0", 8)));
}

TEST(Bdf, RendersAsLinuxDoes) {
  EXPECT_EQ((Bdf{0, 1, 0, 0}).to_string(), "0000:01:00.0");
  EXPECT_EQ((Bdf{0xabcd, 0xef, 0x1f, 7}).to_string(), "abcd:ef:1f.7");
}

TEST(Bdf, SlotAndDevfn) {
  EXPECT_EQ((Bdf{0, 0, 0x1f, 7}).devfn(), 0xff);
  EXPECT_EQ((Bdf{0, 0, 1, 2}).devfn(), 0x0a);
  EXPECT_TRUE((Bdf{0, 1, 0, 0}).same_slot(Bdf{0, 1, 0, 7}));
  EXPECT_FALSE((Bdf{0, 1, 0, 0}).same_slot(Bdf{1, 1, 0, 0}));
  EXPECT_FALSE((Bdf{0, 1, 0, 0}).same_slot(Bdf{0, 1, 1, 0}));
}

}  // namespace
}  // namespace gpuvm::bdf_test
