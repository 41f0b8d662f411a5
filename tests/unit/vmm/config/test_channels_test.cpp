// SPDX-License-Identifier: Apache-2.0
// The channels of [test] by which a guest gives its word: what is read, and what each of them needs
// of other sections.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::test_channels_test {
namespace {

TEST(Channels, AreOffUnlessAskedFor) {
  EXPECT_EQ(parse_bootable("")->test, TestConfig{});
  EXPECT_EQ(parse_bootable("[test]\n")->test, TestConfig{});
  EXPECT_TRUE(parse_bootable("test.status_port = true")->test.status_port);
}

TEST(Channels, VsockNeedsItsSection) {
  for (const std::string key : {"vsock_status", "notify"}) {
    expect_error(parse_bootable("[test]\n" + key + " = true\n"),
                 "test." + key +
                     " goes by the guest's vsock: add a section [vsock] (guest.toml:3:" +
                     std::to_string(key.size() + 4) + ")");
    EXPECT_TRUE(parse_bootable("[vsock]\n[test]\n" + key + " = true\n")) << key;
  }
}

TEST(Channels, TheirCredentialsAreNotTheUsers) {
  const std::string theirs =
      "[vsock]\n[credentials]\n'vmm.notify_socket' = 'a'\n'gpuvm.status_port' = 'b'\n[test]\n";
  EXPECT_TRUE(parse_bootable(theirs));
  expect_error_contains(parse_bootable(theirs + "notify = true"),
                        "test.notify makes the credential vmm.notify_socket itself: remove that");
  expect_error_contains(parse_bootable(theirs + "vsock_status = true"),
                        "makes the credential gpuvm.status_port itself");
}

TEST(Channels, AResultFileIsInAShare) {
  const std::string share = "[[share]]\npath = '/s'\ntag = 'out'\n[test]\nresult_file = ";
  EXPECT_EQ(parse_bootable(share + "'out:status'")->test.result_file,
            (ResultFileConfig{.tag = "out", .path = "status"}));
  EXPECT_EQ(parse_bootable(share + "'out:a/b:c/..d'")->test.result_file,
            (ResultFileConfig{.tag = "out", .path = "a/b:c/..d"}));
  expect_error_contains(parse_bootable(share + "'in:status'"),
                        "test.result_file names the share in: there is no [[share]] with that tag");
  expect_error_contains(parse_bootable("[[share]]\npath = '/s'\ntag = 'out'\nreadonly = true\n"
                                       "[test]\nresult_file = 'out:status'"),
                        "which is read-only: the guest cannot write it");
}

TEST(Channels, AShareForArtifacts) {
  const std::string share = "[[share]]\npath = '/s'\ntag = 'out'\n";
  EXPECT_EQ(parse_bootable(share + "[test]\nartifact_share = 'out'")->test.artifact_share, "out");
  EXPECT_EQ(parse_bootable(share + "[test]\nartifact_share = ''")->test.artifact_share, "");
  expect_error_contains(parse_bootable(share + "[test]\nartifact_share = 'in'"),
                        "test.artifact_share names the share in: there is no [[share]] with that");
  expect_error_contains(
      parse_bootable(share + "readonly = true\n[test]\nartifact_share = 'out'"),
      "test.artifact_share names the share out, which is read-only: the guest cannot write it");
  expect_error_contains(parse_bootable("[test]\nartifact_share = ['out']"), "artifact_share");
}

TEST(Channels, AResultFileLeadsNowhereElse) {
  const std::string share = "[[share]]\npath = '/s'\ntag = 'out'\n[test]\nresult_file = ";
  for (const std::string path :
       {"", "out", "out:", ":status", "out:/status", "out:..", "out:a/../b", "out:./a", "out:a/",
        "out:a//b", "out:a/.", "out:"}) {
    expect_error_contains(parse_bootable(share + "'" + path + "'"),
                          "test.result_file must be \"TAG:PATH\"");
  }
  const std::string longest(1024, 'x');
  EXPECT_TRUE(parse_bootable(share + "'out:" + longest + "'"));
  expect_error_contains(parse_bootable(share + "'out:" + longest + "x'"),
                        "test.result_file must be \"TAG:PATH\"");
  expect_error_contains(parse_bootable(share + "3"), "test.result_file must be \"TAG:PATH\"");
}

}  // namespace
}  // namespace gpuvm::test_channels_test
