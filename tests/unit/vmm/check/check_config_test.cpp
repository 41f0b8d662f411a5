// SPDX-License-Identifier: Apache-2.0
// What a check tells of a guest's configuration, and of hosts where gpuvm cannot run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "tests/fixtures/source_file.hpp"
#include "tests/unit/vmm/check/check_fixture.hpp"
#include "vmm/check/finding_words.hpp"

namespace gpuvm::check_config_test {
namespace {

using check_fixture::CheckTest;
using check_fixture::find_line;
using check_fixture::kGpu;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST_F(CheckTest, AConfigurationsDevicesAndTheirEntries) {
  Config config;
  config.pci.resize(1);
  config.pci[0].host = bdf_of("0000:09:00.0");
  const auto lines = check(&config);
  const auto* const entry = find_line(lines, "entries", "pci.0");
  ASSERT_NE(entry, nullptr) << check_text(lines, false);
  EXPECT_EQ(entry->level, CheckLevel::kFail);
  EXPECT_THAT(entry->text, HasSubstr("0000:09:00.0 is not there"));
  host_.directory("/dev/kvm");
  EXPECT_EQ(exit_status(check(&config)), 78);
}

TEST_F(CheckTest, ACardThatIsToComeLaterIsOfTheHost) {
  Config config;
  config.machine.attachable = {bdf_of("0000:09:00.0"), bdf_of(kGpu)};
  const auto lines = check(&config);
  const auto* const absent = find_line(lines, "attachable", "0000:09:00.0");
  ASSERT_NE(absent, nullptr) << check_text(lines, false);
  EXPECT_EQ(absent->level, CheckLevel::kFail);
  EXPECT_THAT(absent->text,
              AllOf(HasSubstr("machine.attachable"), HasSubstr("0000:09:00.0 is not there")));
  const auto* const there = find_line(lines, "attachable", kGpu);
  ASSERT_NE(there, nullptr) << check_text(lines, false);
  EXPECT_NE(there->level, CheckLevel::kFail) << "whatever is against it now, the guest starts";
}

TEST_F(CheckTest, AGuestWithoutDevicesAsksForKvmAlone) {
  Config config;
  switch_iommu_off();
  const auto lines = check(&config);
  EXPECT_NE(find_line(lines, "kvm", ""), nullptr);
  EXPECT_EQ(find_line(lines, "iommu_groups", ""), nullptr);
  EXPECT_EQ(find_line(lines, "kernel", ""), nullptr);
}

TEST_F(CheckTest, OfThisMachineTheGuestsFilesAreLookedAt) {
  Config config;
  config.boot.kernel = "/nonexistent/vmlinuz";
  EXPECT_EQ(find_line(check(&config), "boot_files", "Guest"), nullptr);  // a saved host
  const auto found = line("boot_files", "Guest", &config, true);
  EXPECT_EQ(found.level, CheckLevel::kFail);
  EXPECT_THAT(found.text, HasSubstr("/nonexistent/vmlinuz"));
  EXPECT_FALSE(found.cure.empty());
  EXPECT_FALSE(found.why.empty());
}

TEST_F(CheckTest, OfWhatAGuestDoesNotHaveNothingIsTold) {
  Config config;
  EXPECT_EQ(find_line(check(&config, true), "shares", "Guest"), nullptr);
  EXPECT_EQ(find_line(check(&config, true), "networks", "Guest"), nullptr);
  config.nets.resize(1);
  EXPECT_EQ(line("networks", "Guest", &config, true).level, CheckLevel::kPass);
}

/// A finding of which nobody wrote what it says would be an empty line, and one whose name the
/// manual lacks could not be looked up.
TEST_F(CheckTest, EveryLineHasWordsAndIsInTheManual) {
  std::ifstream file(test::source_file("man/gpuvm.1.scd"));
  const std::string manual{std::istreambuf_iterator<char>(file), {}};
  Config config;
  config.name = "all";
  config.pci.resize(2);
  config.pci[0].host = bdf_of(kGpu);
  config.pci[1].host = bdf_of("0000:09:00.0");
  config.boot.kernel = "/nonexistent/vmlinuz";
  config.disks.resize(1);
  config.disks[0].path = "/nonexistent/disk";
  config.nets.resize(1);
  config.vsock.emplace();
  config.shares.resize(1);
  config.shares[0].path = "/nonexistent/share";
  config.ssh_key.emplace();
  for (const CheckLine& each : check(&config, true)) {
    EXPECT_FALSE(each.text.empty()) << each.check;
    EXPECT_THAT(manual, HasSubstr(fmt::format("_{}_", each.check)));
    if (each.level == CheckLevel::kFail) {
      EXPECT_FALSE(each.why.empty()) << each.check << ": " << each.text;
      EXPECT_FALSE(each.cure.empty()) << each.check << ": " << each.text;
    }
  }
}

/// The findings that a preview can make, as its sources name them.
TEST(CheckFindings, AllHaveWords) {
  for (const char* const name :
       {"names",       "control", "disks",      "first_boot", "networks",  "vsock",
        "shares",      "words",   "boot_files", "server",     "opening",   "reset",
        "entries",     "cards",   "kvm",        "iommu",      "kernel",    "memory",
        "memory_lock", "device",  "group",      "users",      "attachable"}) {
    EXPECT_NE(find_finding_words(name), nullptr) << name;
  }
}

/// "any-gpu" of a saved host: the card that it would be, not function 0 of nothing.
TEST_F(CheckTest, ASectionWithMatchIsTheCardThatItWouldBe) {
  Config config;
  config.pci.resize(1);
  config.pci[0].match = {*CardPattern::parse("any-gpu")};
  auto lines = check(&config);
  const auto* const cards = find_line(lines, "cards", "Guest");
  ASSERT_NE(cards, nullptr) << check_text(lines, false);
  EXPECT_EQ(cards->level, CheckLevel::kPass) << cards->text;
  EXPECT_THAT(cards->text, HasSubstr("0000:01:00.0 now"));
  EXPECT_EQ(find_line(lines, "entries", "pci.0"), nullptr);
  EXPECT_NE(find_line(lines, "rom", kGpu), nullptr);
  attribute("boot_vga", "1\n");
  lines = check(&config);
  const auto* const none = find_line(lines, "cards", "Guest");
  ASSERT_NE(none, nullptr) << check_text(lines, false);
  EXPECT_EQ(none->level, CheckLevel::kFail);
  EXPECT_THAT(none->text, HasSubstr("boot_vga"));
}

TEST_F(CheckTest, AHostThatIsAGuestHasNoBiosToSwitchOn) {
  switch_iommu_off();
  std::filesystem::remove(host_.path("/sys/firmware/acpi/tables/DMAR"));
  host_.file("/proc/cpuinfo", cpu("GenuineIntel", "vmx hypervisor", 46));
  EXPECT_THAT(line("iommu_tables").cure, HasSubstr("hypervisor"));
  EXPECT_THAT(line("iommu_groups").cure, HasSubstr("hypervisor"));
  host_.file("/proc/cpuinfo", cpu("GenuineIntel", "hypervisor", 46));
  EXPECT_THAT(line("kvm", "", nullptr, true).cure, HasSubstr("nested"));
}

TEST_F(CheckTest, AProcessorOfAnotherArchitecture) {
  EXPECT_FALSE(has_line("processor"));
  host_.file("/proc/cpuinfo", "cpu\t: POWER9\nmodel\t: 8335-GTH\n");
  EXPECT_EQ(line("processor").level, CheckLevel::kFail);
}

/// What has a guest's group open is that guest.
TEST_F(CheckTest, TheGroupOfATakenCardIsNotFree) {
  EXPECT_EQ(line("users", kGpu).level, CheckLevel::kPass);
  host_.file(fmt::format("/run/gpuvm/{}.state", kGpu),
             "owner=render-1\npid=42\ndirty=\nlooks=\nend\n");
  EXPECT_EQ(find_line(check(), "users", kGpu), nullptr);
}

TEST_F(CheckTest, AMissingRomIsToldAsTheMapOfDevicesTellsIt) {
  std::filesystem::remove(host_.path(fmt::format("/sys/bus/pci/devices/{}/rom", kGpu)));
  EXPECT_EQ(line("rom", kGpu).level, CheckLevel::kWarn);
  EXPECT_THAT(line("rom", kGpu).cure, Not(HasSubstr("VFCT")));  // AMD's
  attribute("class", "0x030200\n");
  EXPECT_EQ(line("rom", kGpu).level, CheckLevel::kPass);
}

}  // namespace
}  // namespace gpuvm::check_config_test
