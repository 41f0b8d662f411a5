// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/mac_address.hpp"

#include <gtest/gtest.h>

namespace gpuvm::mac_address_test {
namespace {

TEST(MacAddress, ParsesBothForms) {
  const MacAddress expected{{0x52, 0x54, 0, 0xab, 0xcd, 0xef}};
  EXPECT_EQ(MacAddress::parse("52:54:00:ab:cd:ef"), expected);
  EXPECT_EQ(MacAddress::parse("52-54-00-AB-CD-EF"), expected);
  EXPECT_EQ(expected.to_string(), "52:54:00:ab:cd:ef");
}

TEST(MacAddress, RefusesEverythingElse) {
  for (const char* text :
       {"", "52:54:00:ab:cd", "52:54:00:ab:cd:ef:", "52:54:00:ab:cd:e", "52:54:00:ab:cd:eg",
        "52:54:00:ab:cd-ef", "52 54 00 ab cd ef", "0x:54:00:ab:cd:ef", "-1:54:00:ab:cd:ef",
        "5:254:00:ab:cd:ef", " 2:54:00:ab:cd:ef", "525400abcdef"}) {
    EXPECT_FALSE(MacAddress::parse(text)) << text;
  }
}

TEST(MacAddress, OfOneCard) {
  EXPECT_TRUE((MacAddress{{2, 0, 0, 0, 0, 0}}.is_unicast()));
  EXPECT_FALSE((MacAddress{{1, 0, 0x5e, 0, 0, 1}}.is_unicast()));
  EXPECT_FALSE(MacAddress{}.is_unicast());
}

// IEEE 802, 8.4: the second bit is set in addresses that nobody has bought.
TEST(MacAddress, ANameHasItsOwn) {
  const auto address = MacAddress::of_name("guest", 0);
  EXPECT_EQ(address.to_string(), "92:c1:be:15:f1:46");  // guests know their networks by it
  EXPECT_NE(address, MacAddress::of_name("guest", 1));
  EXPECT_NE(address, MacAddress::of_name("guest2", 0));
  EXPECT_TRUE(address.is_unicast());
  EXPECT_EQ(address.bytes[0] & 2, 2);
}

}  // namespace
}  // namespace gpuvm::mac_address_test
