// SPDX-License-Identifier: Apache-2.0
// What a start is refused for before a device is touched.
#include "vmm/machine/preview/start_check.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/machine/preview/attachable_cards.hpp"

namespace gpuvm::start_check_test {
namespace {

using testing::HasSubstr;

class StartCheckTest : public testing::Test {
 protected:
  StartCheckTest() {
    std::string pattern = testing::TempDir() + "gpuvm-start-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    config_.boot.kernel = folder_ + "/vmlinuz";
  }
  ~StartCheckTest() override { std::filesystem::remove_all(folder_); }

  /// The text of a finding; "" where all is well.
  std::string finding(std::string_view check, std::vector<HostFunction> functions = {},
                      std::string_view of = {}) {
    for (const auto& each : check_start(host_, config_, functions)) {
      if (each.check == check && (of.empty() || each.of == of)) {
        return each.outcome ? "" : each.outcome.error().to_string();
      }
    }
    return "no such check";
  }

  FakeHost host_;
  Config config_;
  std::string folder_;
};

TEST_F(StartCheckTest, KernelAndInitrdAreLookedAt) {
  EXPECT_THAT(finding("boot_files"), HasSubstr("boot.kernel: "));
  std::ofstream(config_.boot.kernel) << "no kernel";
  EXPECT_THAT(finding("boot_files"), HasSubstr("is not a Linux kernel"));
  config_.boot.mode = BootMode::kEfiHandover;
  EXPECT_THAT(finding("boot_files"), HasSubstr("is not a Linux kernel"));
  config_.boot.initrd = folder_ + "/none";
  EXPECT_THAT(check_initrd(config_.boot).error().to_string(),
              HasSubstr("boot.initrd: Cannot open the initrd "));
}

// A start is refused without one; that one cannot come now refuses no start.
TEST_F(StartCheckTest, CardsThatMayComeLaterAreLookedAt) {
  config_.machine.attachable = {Bdf::parse("0000:01:00.0").value()};
  EXPECT_THAT(finding("attachable", {}, "0000:01:00.0"), HasSubstr("0000:01:00.0 is not there"));
  host_.add_device("0000:01:00.0", "0x030000", 7, "nouveau");
  EXPECT_EQ(finding("attachable", {}, "0000:01:00.0"), "");
  const auto findings = check_attachable(host_, config_.machine);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_THAT(findings.front().note, HasSubstr("it could not be attached now: "));
}

TEST_F(StartCheckTest, UefiFilesAreLookedAtAndNoneIsMade) {
  config_.boot = {.mode = BootMode::kUefi,
                  .vars = folder_ + "/guest.vars",
                  .firmware = folder_ + "/none.fd",
                  .vars_template = folder_ + "/none.vars"};
  EXPECT_THAT(finding("boot_files"), HasSubstr("boot.firmware: "));
  EXPECT_FALSE(std::filesystem::exists(*config_.boot.vars));
}

TEST_F(StartCheckTest, NetworksAreLookedAtAndNoneIsMade) {
  EXPECT_EQ(finding("networks"), "");
  config_.nets.push_back({.mode = NetMode::kTap, .bridge = "br0"});
  EXPECT_THAT(finding("networks"),
              HasSubstr("net.0: bridge = \"br0\": this host has no such bridge"));
  host_.directory("/sys/class/net/br0/bridge");
  EXPECT_THAT(finding("networks"), HasSubstr("net.0: This host has no /dev/net/tun"));
  host_.file("/dev/net/tun", "");
  EXPECT_EQ(finding("networks"), "");
}

TEST_F(StartCheckTest, TheControlSocketIsLookedAtAndNoneIsMade) {
  EXPECT_EQ(finding("control"), "");
  config_.control.group = "no-such-group-here";
  EXPECT_THAT(finding("control"), HasSubstr("control.group names no-such-group-here"));
  config_.control = {.socket = ControlConfig::Socket::kPath, .path = folder_ + "/run/g.sock"};
  EXPECT_EQ(finding("control"), "");
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/run"));
  config_.control.path = folder_ + "/no/run/g.sock";
  EXPECT_THAT(finding("control"), HasSubstr("Cannot make the folder of the control socket"));
  config_.control.path = folder_ + "/" + std::string(120, 'x');
  EXPECT_THAT(finding("control"), HasSubstr("too long for a socket"));
  config_.control.path = folder_ + "/g.sock";
  const auto claim = GuestSocketClaim::take(config_.control.path);
  ASSERT_TRUE(claim);
  EXPECT_THAT(finding("control"), HasSubstr("Another guest has the control socket"));
  config_.control = {.socket = ControlConfig::Socket::kOff};
  EXPECT_EQ(finding("control"), "");
}

TEST_F(StartCheckTest, DisksAndNames) {
  EXPECT_EQ(finding("disks"), "");
  EXPECT_EQ(finding("names"), "");
  config_.disks.push_back({.path = folder_ + "/none.img"});
  EXPECT_THAT(finding("disks"), HasSubstr("disk.0: There is no "));
  host_.file("/sys/devices/system/cpu/online", "0-3\n");
  config_.machine.pin = {4};
  EXPECT_THAT(finding("names"), HasSubstr("machine.pin"));
  config_.cpu.hyperv = {"relaxd"};
  EXPECT_THAT(finding("names"), HasSubstr("cpu.hyperv"));
  config_.cpu.hide = {"xsav"};
  EXPECT_THAT(finding("names"), HasSubstr("\"xsave\""));
}

TEST_F(StartCheckTest, SocketOfAServer) {
  HostFunction function;
  function.socket = folder_ + "/gpu.sock";
  EXPECT_THAT(finding("server", {function}), HasSubstr("start its server first"));
  std::ofstream(function.socket) << "x";
  EXPECT_THAT(finding("server", {function}), HasSubstr("is no socket"));
}

TEST_F(StartCheckTest, EveryFunctionIsBoundAsItsOwnEntrySays) {
  host_.add_device("0000:01:00.0", "0x030000", 13, "nouveau");
  host_.add_device("0000:02:00.0", "0x020000", 14, "vfio-pci");
  HostFunction gpu;
  gpu.host = bdf_of("0000:01:00.0");
  HostFunction network;
  network.host = bdf_of("0000:02:00.0");
  network.managed = false;
  EXPECT_EQ(finding("device", {gpu, network}, "0000:01:00.0"), "");
  EXPECT_EQ(finding("device", {gpu, network}, "0000:02:00.0"), "");
  gpu.managed = false;
  EXPECT_THAT(finding("device", {gpu, network}, "0000:01:00.0"), HasSubstr("managed = true"));
}

}  // namespace
}  // namespace gpuvm::start_check_test
