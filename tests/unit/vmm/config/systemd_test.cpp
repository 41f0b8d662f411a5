// SPDX-License-Identifier: Apache-2.0
// [systemd]: its words, and what "guest" needs.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::systemd_section_test {
namespace {

TEST(SystemdSection, Words) {
  EXPECT_EQ(parse_bootable("")->systemd, SystemdConfig{});
  EXPECT_EQ(parse_bootable("")->systemd.ready, ReadyWhen::kVcpus);
  EXPECT_EQ(parse_bootable("systemd.machined = 'off'")->systemd.machined, MachinedUse::kOff);
  expect_error_contains(parse_bootable("systemd.ready = 'yes'"), "systemd.ready must be");
  expect_error_contains(parse_bootable("systemd.machined = true"), "systemd.machined must be");
  expect_error_contains(parse_bootable("systemd.redy = 'guest'"), "ready");
}

TEST(SystemdSection, AGuestThatIsWaitedForCanSaySo) {
  expect_error_contains(parse_bootable("[systemd]\nready = 'guest'"),
                        "systemd.ready is \"guest\", which has no channel to say so: set "
                        "test.status_port, test.vsock_status or test.notify to true");
  expect_error_contains(parse_bootable("test.exit_port = true\nsystemd.ready = 'guest'"),
                        "no channel");
  for (const std::string channel :
       {"status_port = true", "vsock_status = true\n[vsock]", "notify = true\n[vsock]"}) {
    const auto config = parse_bootable("systemd.ready = 'guest'\n[test]\n" + channel);
    ASSERT_TRUE(config) << config.error().to_string();
    EXPECT_EQ(config->systemd.ready, ReadyWhen::kGuest);
  }
}

}  // namespace
}  // namespace gpuvm::systemd_section_test
