// SPDX-License-Identifier: Apache-2.0
// The strings by which systemd finds credentials in SMBIOS type 11 (systemd.io/CREDENTIALS).
#include "vmm/first_boot/credentials.hpp"

#include <gtest/gtest.h>

namespace gpuvm::credentials_test {
namespace {

TEST(Base64, VectorsOfRfc4648) {
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(to_base64("f"), "Zg==");
  EXPECT_EQ(to_base64("fo"), "Zm8=");
  EXPECT_EQ(to_base64("foo"), "Zm9v");
  EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(to_base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(to_base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(to_base64(std::string("\xff\xfe\x00", 3)), "//4A");
}

TEST(CredentialString, TextAsItIs) {
  EXPECT_EQ(credential_string({"firstboot.locale", "de_DE.UTF-8"}),
            "io.systemd.credential:firstboot.locale=de_DE.UTF-8");
  EXPECT_EQ(credential_string({"a", "b=c d"}), "io.systemd.credential:a=b=c d");
}

// What could be lost on the way goes in base64: line ends, NULs, other scripts, blanks at an end.
TEST(CredentialString, BytesInBase64) {
  EXPECT_EQ(credential_string({"a", "key\n"}), "io.systemd.credential.binary:a=a2V5Cg==");
  EXPECT_EQ(credential_string({"a", std::string("\0", 1)}), "io.systemd.credential.binary:a=AA==");
  EXPECT_EQ(credential_string({"a", "\xc3\xa4"}), "io.systemd.credential.binary:a=w6Q=");
  EXPECT_EQ(credential_string({"a", " b"}), "io.systemd.credential.binary:a=IGI=");
  EXPECT_EQ(credential_string({"a", "b "}), "io.systemd.credential.binary:a=YiA=");
  EXPECT_EQ(credential_string({"a", ""}), "io.systemd.credential.binary:a=");
}

TEST(CredentialStrings, AreBounded) {
  const std::size_t overhead = credential_string({"a", "x"}).size() - 1;
  const std::string most(kMostCredentialBytes - overhead, 'x');
  EXPECT_TRUE(credential_strings({{"a", most}}));
  const auto more = credential_strings({{"small", "x"}, {"large", most}});
  ASSERT_FALSE(more);
  EXPECT_NE(more.error().to_string().find("large is the largest: at most 32768"),
            std::string::npos);
  EXPECT_EQ(more.error().to_string().find("xxx"), std::string::npos) << "contents are told";
}

}  // namespace
}  // namespace gpuvm::credentials_test
