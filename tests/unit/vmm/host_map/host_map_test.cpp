// SPDX-License-Identifier: Apache-2.0
// What is made of a host's functions, with hosts that real ones are rarely.
#include "vmm/host_map/host_map.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host_map/host_copy.hpp"
#include "vmm/host_map/map_json.hpp"
#include "vmm/host_map/map_text.hpp"

namespace gpuvm::host_map_test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

HostMap gather(const FakeHost& host) {
  auto map = gather_host_map(host, {});
  EXPECT_TRUE(map) << map.error().to_string();
  return std::move(map).value();
}

void add(FakeHost& host, const std::string& bdf, const std::string& class_code, unsigned group,
         const std::string& driver) {
  host.add_device(bdf, class_code, group, driver);
  host.file("/sys/bus/pci/devices/" + bdf + "/config", "\xde\x10\x8b\x12" + std::string(252, '\0'));
  host.file("/sys/bus/pci/devices/" + bdf + "/reset_method", "flr\n");
}

TEST(HostMap, WithoutNamesNumbersStand) {
  FakeHost host;
  add(host, "0000:01:00.0", "0x030000", 7, "nouveau");
  const auto map = gather(host);
  EXPECT_FALSE(map.has_names);
  EXPECT_EQ(tree_text(map, MapFilter::kAll),
            "IOMMU\n└── 7\n    └── 01:00.0 Class [0300]: Device [10de:128b]\n");
}

TEST(HostMap, WhatSharesTheGroupComesAlongOrStandsInTheWay) {
  FakeHost host;
  add(host, "0000:01:00.0", "0x030000", 7, "nouveau");
  add(host, "0000:00:1f.2", "0x010601", 7, "ahci");
  EXPECT_THAT(entries_toml(gather(host), gather(host).functions[1]),
              HasSubstr("# shares its IOMMU group\n[[pci]]\nhost = \"0000:00:1f.2\""));
  EXPECT_TRUE(gather(host).functions[1].outlook.can_be_passed());
  host.link("/sys/class/block/sda", "../../devices/pci0000:00/0000:00:1f.2/ata1/block/sda");
  host.file("/proc/self/mounts", "/dev/sda / ext4 rw 0 0\n");
  EXPECT_THAT(gather(host).functions[1].outlook.obstacles,
              Contains(HasSubstr("/dev/sda is mounted")));
}

TEST(HostMap, AGroupThatAProcessHasIsNamed) {
  FakeHost host;
  add(host, "0000:01:00.0", "0x030000", 7, "vfio-pci");
  host.link("/proc/42/fd/9", "/dev/vfio/7");
  host.file("/proc/42/comm", "qemu-system-x86\n");
  EXPECT_THAT(gather(host).functions[0].outlook.obstacles,
              Contains(HasSubstr("qemu-system-x86 (pid 42)")));
}

TEST(HostMap, FunctionsBesideGroupsComeLast) {
  FakeHost host;
  add(host, "0000:01:00.0", "0x030000", 7, "");
  add(host, "0000:00:02.0", "0x030000", 8, "");
  std::filesystem::remove(host.path("/sys/bus/pci/devices/0000:00:02.0/iommu_group"));
  const auto map = gather(host);
  EXPECT_THAT(tree_text(map, MapFilter::kAll), HasSubstr("└── no group\n    └── 00:02.0"));
  EXPECT_THAT(map.functions[0].outlook.obstacles, Contains(HasSubstr("in no IOMMU group")));
}

TEST(HostMap, OnlyGroupsWithGpusWhereThatIsAsked) {
  FakeHost host;
  add(host, "0000:01:00.0", "0x120000", 7, "");
  add(host, "0000:02:00.0", "0x0c0330", 8, "");
  const auto text = devices_text(gather(host), MapFilter::kGpus);
  EXPECT_THAT(text, HasSubstr("01:00.0"));
  EXPECT_THAT(text, Not(HasSubstr("02:00.0")));
  FakeHost without;
  add(without, "0000:02:00.0", "0x0c0330", 8, "");
  EXPECT_THAT(devices_text(gather(without), MapFilter::kGpus), HasSubstr("The host has no GPU."));
}

/// Whatever function is asked about, a large group's obstacles are the same.
TEST(HostMap, ALargeGroupIsOneForEachOfItsFunctions) {
  FakeHost host;
  constexpr unsigned kSlots = 24;
  for (unsigned i = 1; i <= kSlots; ++i) {
    add(host, fmt::format("0000:{:02x}:00.0", i), "0x030000", 7, "");
  }
  const auto map = gather(host);
  ASSERT_EQ(map.functions.size(), kSlots);
  for (const MapFunction& function : map.functions) {
    EXPECT_EQ(function.outlook.entries.size(), kSlots);
    EXPECT_EQ(function.outlook.entries.front().host, function.address);
    EXPECT_EQ(function.outlook.obstacles, map.functions[0].outlook.obstacles);
    EXPECT_EQ(function.outlook.reset.empty(), map.functions[0].outlook.reset.empty());
  }
}

TEST(HostMap, WithoutGroupsSlotsWithGpusAreShown) {
  FakeHost host;
  for (const char* const each : {"0000:01:00.0", "0000:01:00.1", "0000:02:00.0"}) {
    const bool is_gpu = std::string_view(each).ends_with("01:00.0");
    add(host, each, is_gpu ? "0x030000" : "0x0c0330", 7, "");
    std::filesystem::remove(host.path(fmt::format("/sys/bus/pci/devices/{}/iommu_group", each)));
  }
  std::filesystem::remove_all(host.path("/sys/kernel/iommu_groups"));
  const auto map = gather(host);
  for (const auto& text : {devices_text(map, MapFilter::kGpus), tree_text(map, MapFilter::kGpus)}) {
    EXPECT_THAT(text, HasSubstr("01:00.1"));
    EXPECT_THAT(text, Not(HasSubstr("02:00.0")));
  }
  EXPECT_THAT(tree_text(map, MapFilter::kAll), HasSubstr("02:00.0"));
}

TEST(HostMap, TextsOfAHostDoNothingToATerminal) {
  FakeHost host;
  add(host, "0000:01:00.0", "0x030000", 7, "");
  host.file("/sys/bus/pci/devices/0000:01:00.0/reset_method", "f\x1b[2Jlr\n");
  host.link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/\x1b]0;x\x07");
  EXPECT_THAT(devices_text(gather(host), MapFilter::kAll), Not(HasSubstr("\x1b")));
}

TEST(HostMap, JsonHasEveryFunction) {
  FakeHost host;
  add(host, "0000:01:00.0", "0x030000", 7, "nouveau");
  add(host, "0000:00:01.0", "0x060400", 6, "pcieport");
  const auto json = nlohmann::json::parse(map_json(gather(host), MapFilter::kAll));
  EXPECT_EQ(json["iommu"], true);
  EXPECT_EQ(json["groups"].size(), 2U);
  const auto& bridge = json["groups"][0]["functions"][0];
  EXPECT_EQ(bridge["address"], "0000:00:01.0");
  EXPECT_TRUE(bridge["verdict"].is_null());
  const auto& gpu = json["groups"][1]["functions"][0];
  EXPECT_EQ(gpu["vendor"], "0x10de");
  EXPECT_EQ(gpu["driver"], "nouveau");
  EXPECT_TRUE(gpu["bars"].is_null());  // sysfs does not tell
  EXPECT_EQ(gpu["verdict"]["can_be_passed"], true);
  EXPECT_EQ(gpu["verdict"]["slots"][0]["takes"][0], "0000:01:00.0");
}

TEST(HostMap, AHostWithTooManyFunctionsIsRefused) {
  HostCopy host;
  for (unsigned i = 0; i <= kMostMapFunctions; ++i) {
    const auto base =
        fmt::format("/sys/bus/pci/devices/0000:{:02x}:{:02x}.{}", i >> 8, i >> 3 & 31, i & 7);
    for (const char* const name : {"vendor", "device", "subsystem_vendor", "subsystem_device"}) {
      host.make(fmt::format("{}/{}", base, name)).text = "0x1234";
    }
    host.make(base + "/class").text = "0x060400";
  }
  const auto map = gather_host_map(host, {});
  ASSERT_FALSE(map);
  EXPECT_EQ(map.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(map.error().to_string(), HasSubstr("more than 4096 PCI functions"));
}

}  // namespace
}  // namespace gpuvm::host_map_test
