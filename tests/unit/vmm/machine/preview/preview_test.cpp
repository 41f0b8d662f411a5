// SPDX-License-Identifier: Apache-2.0
// What gpuvm inspect says of devices, over a made-up sysfs.
#include "vmm/machine/preview/preview.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/machine/preview/found_functions.hpp"

namespace gpuvm::preview_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kGpu = "0000:01:00.0";
const std::string kAudio = "0000:01:00.1";

class PreviewTest : public testing::Test {
 protected:
  PreviewTest() {
    // The real directory of a function tells its bridge; "/sys/bus/pci/devices" has links.
    for (const std::string& bdf : {kGpu, kAudio}) {
      add(bdf, "0000:00:02.0/" + bdf, bdf == kGpu ? "0x030000" : "0x040300");
    }
    config_.name = "main";
    config_.boot.kernel = "/k";
    config_.pci.push_back({});
    config_.pci[0].host = bdf_of(kGpu);
  }
  void add(const std::string& bdf, const std::string& place, const std::string& class_code) {
    const std::string real = "/sys/devices/pci0000:00/" + place;
    host_.file(real + "/vendor", "0x10de\n");
    host_.file(real + "/device", "0x128b\n");
    host_.file(real + "/subsystem_vendor", "0x1043\n");
    host_.file(real + "/subsystem_device", "0x85e7\n");
    host_.file(real + "/class", class_code + "\n");
    host_.file(real + "/reset_method", "bus\n");
    std::string config(256, '\0');
    config.replace(0, 4, "\xde\x10\x8b\x12");
    config[0x0b] = static_cast<char>(std::stoul(class_code, nullptr, 16) >> 16);
    host_.file(real + "/config", config);
    host_.link("/sys/bus/pci/devices/" + bdf, "../../../devices/pci0000:00/" + place);
  }
  std::string preview() {
    InspectNode node("guest");
    auto findings = preview_machine(host_, config_, node);
    EXPECT_TRUE(findings) << findings.error().to_string();
    findings_ = std::move(findings).value();
    return node.to_text();
  }
  FakeHost host_;
  Config config_;
  std::vector<Finding> findings_;  ///< of the last preview()
};

TEST_F(PreviewTest, ShowsThePolicyTheMethodAndWhatIsDoneWhen) {
  EXPECT_THAT(preview(),
              AllOf(HasSubstr("guest_address: root port 0, function 1"),
                    HasSubstr("reset_method: bus"), HasSubstr("policy: NVIDIA Kepler to Pascal"),
                    HasSubstr("source: NVIDIA/open-gpu-kernel-modules#1353"),
                    HasSubstr("hot_reset_covers: 0000:01:00.0, 0000:01:00.1"),
                    HasSubstr("hot_reset_owners: 0000:01:00.0 (the guest's), 0000:01:00.1 (the"),
                    HasSubstr("at_start: hot reset; rest 500 ms; check"),
                    HasSubstr("at_guest_bus_reset"), HasSubstr("owner: nobody")));
}

TEST_F(PreviewTest, FunctionThatAStrangerSharesTheBusWithHasNoReset) {
  config_.pci[0].functions = {0};
  EXPECT_THAT(preview(), AllOf(HasSubstr("it would also reset 0000:01:00.1"),
                               HasSubstr("at_start: exit status 75")));
  const auto found = std::find_if(findings_.begin(), findings_.end(), [](const Finding& finding) {
    return finding.check == "reset" && finding.of == "0000:01:00.0";
  });
  ASSERT_NE(found, findings_.end());
  ASSERT_FALSE(found->outcome);
  EXPECT_EQ(found->outcome.error().kind(), ErrorKind::kUnsafeDevice);
}

/// Texts of what is wrong with [[pci]] entries.
std::vector<std::string> entry_errors(const std::vector<Finding>& findings) {
  std::vector<std::string> texts;
  for (const Finding& finding : findings) {
    if (finding.check == kEntriesCheck) {
      texts.push_back(finding.of + ": " + finding.outcome.error().to_string());
    }
  }
  return texts;
}

// Each error of an entry is told, and the rest is shown as if it were not there.
TEST_F(PreviewTest, WhatIsWrongWithAnEntryHidesNothingElse) {
  config_.pci[0].place.text = "pci.0 (guest.toml:3:1)";
  config_.pci[0].resize_bar = PciBarSize{};
  config_.pci[0].vf_token = "14d63f20-8445-11ea-8900-1f9ce7d5650d";
  config_.pci[0].rom = {.mode = PciRomMode::kFile, .path = "/absent.rom"};
  config_.pci.push_back({});
  config_.pci[1].host = bdf_of("0000:7f:00.0");
  config_.pci[1].place.text = "pci.1 (guest.toml:9:1)";
  EXPECT_THAT(preview(), AllOf(HasSubstr("at_start: hot reset"), HasSubstr("boot_files: "),
                               HasSubstr("policy: NVIDIA Kepler to Pascal")));
  EXPECT_THAT(
      entry_errors(findings_),
      testing::UnorderedElementsAre(
          AllOf(HasSubstr("pci.0: "), HasSubstr("pci.0 (guest.toml:3:1): "), HasSubstr("vf_token")),
          AllOf(HasSubstr("pci.0_1: "), HasSubstr("pci.0 (guest.toml:3:1): "),
                HasSubstr("resize_bar")),
          AllOf(HasSubstr("pci.0_2: "), HasSubstr("pci.rom"), HasSubstr("/absent.rom")),
          AllOf(HasSubstr("pci.1: "), HasSubstr("pci.1 (guest.toml:9:1): "),
                HasSubstr("0000:7f:00.0"))));
}

TEST_F(PreviewTest, EntriesThatTakeTheSameAreToldAndTheChecksGoOn) {
  config_.pci.push_back({});
  config_.pci[1].host = bdf_of(kAudio);
  EXPECT_THAT(preview(), HasSubstr("boot_files: "));
  EXPECT_THAT(entry_errors(findings_), testing::ElementsAre(HasSubstr("all: pci.1 takes")));
}

TEST_F(PreviewTest, ShowsWhatTheFirmwareStartsFrom) {
  config_.boot = {.mode = BootMode::kUefi, .vars = "/v.fd", .firmware = "/f.fd"};
  config_.disks.push_back({.path = "/disk.img", .read_only = true});
  config_.nets.push_back({.mode = NetMode::kTap, .tap = "vm0"});
  EXPECT_THAT(preview(), AllOf(HasSubstr("net_0: tap vm0, mac "), HasSubstr("boot: uefi"),
                               HasSubstr("firmware: /f.fd"), HasSubstr("vars: /v.fd"),
                               HasSubstr("disk_0: /disk.img, read-only"),
                               HasSubstr("disks: disk.0: There is "),
                               HasSubstr("boot_files: boot.firmware: ")));
}

TEST_F(PreviewTest, CoherentMemoryShowsWhatItIsAndWhere) {
  config_.pci[0].coherent_memory = PciCoherentMemory{.region = "nvlink2-ram"};
  EXPECT_THAT(preview(), AllOf(HasSubstr("source: region = nvlink2-ram"),
                               HasSubstr("place: above the guest's memory")));
}

TEST_F(PreviewTest, ChoiceOfTheConfigurationShows) {
  config_.pci[0].reset = ResetChoice::kNone;
  config_.pci[0].reset_wait = 7;
  EXPECT_THAT(preview(), AllOf(HasSubstr("at_start: no reset; rest 7 ms"),
                               HasSubstr("The configuration forbids every reset")));
}

TEST_F(PreviewTest, DirtyDeviceShowsItsLastOwnerAndWhy) {
  host_.file("/run/gpuvm/0000:01:00.0.state", DeviceRecord{"the guest a", 7, "cold", ""}.to_text());
  EXPECT_THAT(preview(), HasSubstr("owner: the guest a (pid 7), and dirty after it: cold"));
}

TEST_F(PreviewTest, RootBusHasNoHotResetAndAloneABusResetIsItsOwn) {
  add("0000:00:1f.0", "0000:00:1f.0", "0x0c0330");
  config_.pci[0].host = bdf_of("0000:00:1f.0");
  EXPECT_THAT(preview(), HasSubstr("hot_reset: 0000:00:1f.0 is on a root bus"));
  add("0000:02:00.0", "0000:00:03.0/0000:02:00.0", "0x0c0330");
  config_.pci[0].host = bdf_of("0000:02:00.0");
  EXPECT_THAT(preview(), HasSubstr("has_function_reset: true"));
}

// Linux before 5.15 has no attribute reset_method.
TEST_F(PreviewTest, OldKernelSaysOnlyThatThereIsAReset) {
  const std::string place = "/sys/devices/pci0000:00/0000:00:03.0/0000:02:00.0";
  add("0000:02:00.0", "0000:00:03.0/0000:02:00.0", "0x0c0330");
  std::filesystem::remove(host_.path(place + "/reset_method"));
  config_.pci[0].host = bdf_of("0000:02:00.0");
  EXPECT_THAT(preview(), HasSubstr("has_function_reset: false"));
  host_.file(place + "/reset", "");
  EXPECT_THAT(preview(), HasSubstr("has_function_reset: true"));
}

TEST_F(PreviewTest, WhereTheMsixTableIsAndWillBe) {
  EXPECT_THAT(preview(), Not(HasSubstr("msix_relocation")));
  const std::string real = "/sys/devices/pci0000:00/0000:00:02.0/" + kGpu;
  std::string config(256, '\0');
  config.replace(0, 8, std::string("\xde\x10\x8b\x12\0\0\x10\0", 8));
  config[0x34] = 0x40;
  config.replace(0x40, 12, std::string("\x11\0\x0f\0\0\x20\0\0\0\x30\0\0", 12));
  host_.file(real + "/config", config);
  std::string resource = "0x00000000f0000000 0x00000000f000ffff 0x0000000000040200\n";
  for (int i = 1; i < 7; ++i) {
    resource += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  }
  host_.file(real + "/resource", resource);
  EXPECT_THAT(preview(),
              AllOf(HasSubstr("on: false"), HasSubstr("the configuration does not ask for it"),
                    HasSubstr("with_auto: 0x1000 bytes of BAR 0 at 0x2000 without exits")));
  config_.pci[0].msix_relocation = PciMsixRelocation::kBar0;
  EXPECT_THAT(preview(),
              AllOf(HasSubstr("on: true"), HasSubstr("hardware_table: BAR 0 at 0x2000"),
                    HasSubstr("guest_table: BAR 0 at 0x10000"), Not(HasSubstr("with_auto")),
                    HasSubstr("MSI-X: the pending bits went with the table")));
}

/// A start finds out by VFIO's regions and vectors, the preview by sysfs: the guest sees the same.
TEST_F(PreviewTest, WhatTheHostCannotDeliverIsHiddenAsAtAStart) {
  const std::string real = "/sys/devices/pci0000:00/0000:00:02.0/" + kGpu;
  config_.pci[0].functions = {0};
  const auto write = [&](char pin, char table) {
    std::string config(256, '\0');
    config.replace(0, 8, std::string("\xde\x10\x8b\x12\0\0\x10\0", 8));
    config[0x34] = 0x40;
    config[0x3d] = pin;
    config.replace(0x40, 12, std::string("\x11\0\x0f\0\0\x20\0\0\0\x30\0\0", 12));
    config[0x46] = table;  // times 64 KiB, which are all of BAR 0
    host_.file(real + "/config", config);
  };
  std::string resource = "0x00000000f0000000 0x00000000f000ffff 0x0000000000040200\n";
  for (int i = 1; i < 7; ++i) {
    resource += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  }
  host_.file(real + "/resource", resource);
  write(1, 0);
  EXPECT_THAT(preview(), Not(HasSubstr("cannot deliver")));
  write(0, 0);
  EXPECT_THAT(preview(), HasSubstr("no interrupt pin: the host cannot deliver INTx"));
  write(1, 1);
  EXPECT_THAT(preview(), AllOf(HasSubstr("MSI-X hidden: the host cannot deliver it"),
                               Not(HasSubstr("cannot deliver INTx"))));
}

TEST_F(PreviewTest, WithoutRootItSaysThatCapabilitiesAreHidden) {
  EXPECT_THAT(preview(), Not(HasSubstr("hidden without root")));
  host_.file("/sys/bus/pci/devices/0000:01:00.0/config", std::string("\xde\x10\x8b\x12", 4));
  EXPECT_THAT(preview(), HasSubstr("hidden without root"));
}

}  // namespace
}  // namespace gpuvm::preview_test
