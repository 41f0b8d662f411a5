// SPDX-License-Identifier: Apache-2.0
// What of a configuration a guest has that waits, and what two of them cannot both have.
#include "vmm/pool/pool_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "vmm/guests/guest_socket.hpp"

namespace gpuvm::pool::pool_config_test {
namespace {

using testing::HasSubstr;

Config parsed(const std::string& text) {
  auto config = parse_config(text, {.label = "x.toml", .directory = "/d", .default_name = "ci"});
  EXPECT_TRUE(config) << config.error().to_string();
  return config ? std::move(config).value() : Config{};
}

constexpr const char* kBoot = "[boot]\nkernel = \"k\"\ncmdline = \"quiet\"\n";
constexpr const char* kDisk = "[[disk]]\npath = \"d.img\"\nthrowaway = true\n";

std::string refusal(const std::string& more) {
  const auto checked = check_pool_config(parsed(kBoot + more));
  return checked ? "" : checked.error().to_string();
}

TEST(PoolConfig, WhatCanBeShared) {
  EXPECT_EQ(refusal(kDisk), "");
  EXPECT_EQ(refusal("[[disk]]\npath = \"d.img\"\nreadonly = true\n"), "");
  EXPECT_EQ(refusal("[[net]]\nmode = \"user\"\n"), "");
  EXPECT_EQ(refusal("[[share]]\npath = \"s\"\ntag = \"s\"\nreadonly = true\n"), "");
  EXPECT_EQ(refusal("[[pci]]\nhost = \"0000:01:00.0\"\n"), "") << "its taker's";
}

TEST(PoolConfig, WhatCannot) {
  EXPECT_THAT(refusal("[[disk]]\npath = \"d.img\"\n"), HasSubstr("throwaway = true"));
  EXPECT_THAT(refusal("[[net]]\nmode = \"user\"\nforward = [\"tcp:2222:22\"]\n"),
              HasSubstr("forward"));
  EXPECT_THAT(refusal("[[net]]\nmode = \"tap\"\ntap = \"tap0\"\n"), HasSubstr("bridge"));
  EXPECT_THAT(refusal("[[share]]\npath = \"s\"\ntag = \"s\"\n"), HasSubstr("readonly = true"));
  EXPECT_THAT(refusal("[console]\nvirtio = [\"stdio\"]\nserial = []\n"),
              HasSubstr("console.virtio"));
}

TEST(PoolConfig, FirmwareWithVariables) {
  Config config = parsed(kBoot);
  config.boot.vars = "/v";
  const auto checked = check_pool_config(config);
  ASSERT_FALSE(checked);
  EXPECT_THAT(checked.error().to_string(), HasSubstr("boot.vars"));
}

TEST(MemberConfig, IsWithoutWhatIsItsTakers) {
  const auto member = member_config(parsed(std::string(kBoot) + kDisk +
                                           "[[pci]]\nhost = \"0000:01:00.0\"\n[vsock]\ncid = 77\n"
                                           "[[net]]\nmode = \"user\"\nmac = \"52:54:00:00:00:01\"\n"
                                           "[test]\ncommand = \"x\"\npvpanic = true\n"),
                                    "ci-0badcafe");
  ASSERT_TRUE(member) << member.error().to_string();
  EXPECT_EQ(member->name, "ci-0badcafe");
  EXPECT_TRUE(member->pci.empty());
  EXPECT_TRUE(member->console.serial.empty()) << "the terminal is the pool's";
  EXPECT_EQ(member->nets.front().mac, std::nullopt) << "which follows from the name";
  EXPECT_EQ(member->vsock->cid, std::nullopt);
  EXPECT_EQ(member->machine.on_reboot, RebootAction::kExit);
  EXPECT_EQ(member->test.command, "");
  EXPECT_TRUE(member->test.pvpanic);
  EXPECT_TRUE(member->test.status_port) << "by which it says that it waits";
  EXPECT_EQ(member->control.socket, ControlConfig::Socket::kAuto);
  const auto is_agent = [](const auto& each) { return each.name == "gpuvm.run"; };
  EXPECT_TRUE(std::any_of(member->credentials.begin(), member->credentials.end(), is_agent));
}

TEST(MemberNames, DifferAndAreNames) {
  std::set<std::string> names;
  for (int i = 0; i < 100; ++i) {
    const auto name = fresh_member_name("ci");
    ASSERT_TRUE(name);
    EXPECT_TRUE(name->starts_with("ci-"));
    EXPECT_TRUE(is_guest_name(*name)) << *name;
    names.insert(*name);
  }
  EXPECT_EQ(names.size(), 100U);
  EXPECT_TRUE(is_guest_name(fresh_member_name(std::string(64, 'a')).value()));
}

TEST(MachineText, IsTheSameForTheSameMachine) {
  const std::string pool = std::string(kBoot) + kDisk;
  const std::string taker = "name = \"job\"\n" + pool +
                            "[[pci]]\nhost = \"0000:01:00.0\"\n[test]\ntimeout = \"5min\"\n"
                            "command = \"x\"\n[console]\nserial = []\n";
  EXPECT_EQ(machine_text(parsed(pool)), machine_text(parsed(taker)));
  EXPECT_EQ(difference_of(machine_text(parsed(pool)), machine_text(parsed(taker))), "");
}

TEST(MachineText, DiffersWhereTheMachineDoes) {
  const auto text = [](const std::string& more) { return machine_text(parsed(kBoot + more)); };
  EXPECT_THAT(difference_of(text("[machine]\ncpus = 2\n"), text("[machine]\ncpus = 4\n")),
              testing::AllOf(HasSubstr("`cpus = 2`"), HasSubstr("`cpus = 4`")));
  EXPECT_NE(difference_of(text(""), text(kDisk)), "");
  EXPECT_NE(difference_of(text(kDisk), text("")), "");
  EXPECT_NE(difference_of(text(""), text("[test]\npvpanic = true\n")), "") << "a device";
}

TEST(Differences, AtTheEnd) {
  EXPECT_EQ(difference_of("", ""), "");
  EXPECT_THAT(difference_of("a\n", "a\nb\n"), HasSubstr("nothing more"));
  EXPECT_THAT(difference_of("a\nb\n", "a\n"), HasSubstr("`b`"));
}

TEST(WarmJobs, WhatTheyCannotHave) {
  const auto why_not = [](const std::string& more) {
    const auto checked = check_warm_job(parsed(kBoot + more));
    return checked ? std::string() : checked.error().to_string();
  };
  EXPECT_EQ(why_not("[[pci]]\nhost = \"0000:01:00.0\"\n"), "");
  EXPECT_EQ(why_not("[[pci]]\nmatch = \"any-gpu\"\n"), "");
  EXPECT_THAT(why_not("[[pci]]\nhost = \"0000:01:00.0\"\nrom = \"off\"\n"), HasSubstr("pci.0"));
  EXPECT_THAT(why_not("[[pci]]\nsocket = \"/s\"\n"), HasSubstr("pci.0"));
  EXPECT_THAT(why_not("[test]\nreboots = 3\n"), HasSubstr("test.reboots"));
  EXPECT_THAT(why_not("[[disk]]\npath = \"d.img\"\n"), HasSubstr("throwaway"));
}

}  // namespace
}  // namespace gpuvm::pool::pool_config_test
