// SPDX-License-Identifier: Apache-2.0
// UefiBoot without KVM: which files it takes, what it writes, and what the firmware then reads.
#include "vmm/machine/boot/uefi_boot.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/unit/firmware/ovmf/variable_volume.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::uefi_boot_test {
namespace {

namespace fs = std::filesystem;

struct FakeSlots : MemorySlots {
  Result<SlotId> map(GuestAddress at, std::span<std::byte> host, SlotAccess access) override {
    EXPECT_EQ(access, SlotAccess::kReadOnly);
    slots[++last] = {at, host};
    return last;
  }
  void unmap(SlotId slot) override { slots.erase(slot); }
  std::map<SlotId, std::pair<GuestAddress, std::span<std::byte>>> slots;
  SlotId last = 0;
};

class UefiBootTest : public testing::Test {
 protected:
  UefiBootTest() {
    std::string pattern = (fs::temp_directory_path() / "gpuvm-uefi-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    auto code = testing_ovmf::empty_volume(1_MiB - testing_ovmf::kVolumeSize);
    code[16] = std::byte{0x78};  // another file system: firmware files
    config_.boot.mode = BootMode::kUefi;
    config_.boot.firmware = put("code.fd", code);
    config_.boot.vars_template = put("template.fd", testing_ovmf::empty_volume());
    config_.boot.vars = (folder_ / "guest.vars").string();
  }
  ~UefiBootTest() override { fs::remove_all(folder_); }

  std::string put(const char* name, std::span<const std::byte> bytes) const {
    const auto path = folder_ / name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return path.string();
  }
  /// Refused, with no file more than before.
  void expect_refused(std::string_view part) const {
    const auto before = std::distance(fs::directory_iterator(folder_), {});
    const auto boot = UefiBoot::open(config_);
    ASSERT_FALSE(boot) << part;
    EXPECT_EQ(boot.error().kind(), ErrorKind::kConfig);
    EXPECT_NE(boot.error().to_string().find(part), std::string::npos) << boot.error().to_string();
    EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), before);
  }

  fs::path folder_;
  Config config_;
};

TEST_F(UefiBootTest, MakesTheVariablesFromTheTemplate) {
  const auto boot = UefiBoot::open(config_);
  ASSERT_TRUE(boot) << boot.error().to_string();
  EXPECT_EQ(fs::file_size(*config_.boot.vars), testing_ovmf::kVolumeSize);
  EXPECT_EQ((*boot)->flash(), *GuestRange::create(GuestAddress(4_GiB - 1_MiB), 1_MiB));
  const auto second = UefiBoot::open(config_);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().to_string().find("in use by another guest"), std::string::npos);
}

TEST_F(UefiBootTest, RefusesFilesThatCannotBe) {
  const Config good = config_;
  config_.boot.vars_template.reset();
  expect_refused("does not exist; make it");
  config_ = good;
  std::swap(config_.boot.firmware, config_.boot.vars_template);
  expect_refused("holds variables, not firmware code");
  config_ = good;
  config_.boot.vars_template = config_.boot.firmware;
  expect_refused("holds firmware code, not variables");
  config_ = good;
  config_.boot.vars_template = put("other.fd", testing_ovmf::empty_volume(0x8000));
  expect_refused("do not go together");
  config_ = good;
  config_.boot.kernel = *config_.boot.vars_template;
  expect_refused("is no EFI program");
  config_ = good;
  config_.fw_cfg = {{.name = "opt/a", .text = {}, .file = "/nowhere/file"}};
  expect_refused("opt/a: Cannot open the item's file /nowhere/file");
}

TEST_F(UefiBootTest, TheFirmwareFindsItsThings) {
  std::vector<std::byte> kernel(8_KiB, std::byte{0x11});
  store_le(std::span(kernel).first(2), 0x5a4d);               // "MZ"
  store_le(std::span(kernel).subspan(0x1f1, 1), 3);           // setup sectors
  store_le(std::span(kernel).subspan(0x202, 4), 0x53726448);  // "HdrS"
  config_.boot.kernel = put("kernel", kernel);
  config_.boot.cmdline = "quiet";
  config_.fw_cfg = {{.name = "opt/a", .text = "mine", .file = {}}};
  const auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB}).value();
  FakeSlots slots;
  MmioBus mmio("mmio");
  PortBus ports("ports");
  auto boot = std::move(UefiBoot::open(config_)).value();
  ASSERT_TRUE(boot->connect(
      {.requests = {}, .memory = memory, .slots = slots, .mmio = mmio, .ports = ports}));
  int built = 0;
  ASSERT_TRUE(boot->describe({.smbios = {}, .memory64_wanted = 40_GiB, .acpi = [&built] {
                                ++built;
                                return Result<AcpiBlobs>(AcpiBlobs{});
                              }}));
  // The last 16 bytes below 4 GiB are the code's.
  EXPECT_EQ(slots.slots.at(1).first + slots.slots.at(1).second.size(), GuestAddress(4_GiB));

  const auto select = [&ports](std::uint16_t key) {
    std::array<std::byte, 2> bytes{};
    store_le(bytes, key);
    ports.write(fw_cfg::kPort, bytes);
  };
  const auto read = [&ports](std::size_t count) {
    std::vector<std::byte> bytes(count);
    for (auto& byte : bytes) {
      ports.read(fw_cfg::kPort + 1, {&byte, 1});
    }
    return bytes;
  };
  const auto number = [&](std::uint16_t key) {
    select(key);
    return load_le(read(4));
  };
  EXPECT_EQ(number(fw_cfg::kSetupSize), 2048u) << "boot sector and three more";
  EXPECT_EQ(number(fw_cfg::kKernelSize), 8_KiB - 2048);
  EXPECT_EQ(number(fw_cfg::kCommandLineSize), 6u) << "with its NUL";

  EXPECT_EQ(built, 1);
  select(fw_cfg::kDirectory);
  EXPECT_EQ(built, 2) << "tables are made anew when the firmware looks for them";
  const auto count = std::to_integer<std::size_t>(read(4)[3]);
  std::map<std::string, std::pair<std::size_t, std::uint16_t>> files;
  for (std::size_t i = 0; i < count; ++i) {
    const auto entry = read(64);
    files[reinterpret_cast<const char*>(&entry[8])] = {
        std::to_integer<std::size_t>(entry[3]),
        static_cast<std::uint16_t>(std::to_integer<unsigned>(entry[4]) << 8 |
                                   std::to_integer<unsigned>(entry[5]))};
  }
  const auto text = [&](const std::string& name) {
    const auto [size, key] = files.at(name);
    select(key);
    const auto bytes = read(size);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  EXPECT_EQ(text("opt/ovmf/X-PciMmio64Mb"), "65536") << "a power of two";
  EXPECT_EQ(text("opt/a"), "mine");
  EXPECT_EQ(files.at("etc/e820").first, 40u) << "two ranges of RAM";
  for (const char* name :
       {"etc/table-loader", "etc/acpi/rsdp", "etc/acpi/tables", "etc/smbios/smbios-anchor",
        "etc/smbios/smbios-tables", "etc/system-states", "etc/boot-menu-wait"}) {
    EXPECT_TRUE(files.contains(name)) << name;
  }
  EXPECT_FALSE(files.contains("bootorder")) << "without a disk to start from";
  boot.reset();
  EXPECT_TRUE(slots.slots.empty());
}

TEST_F(UefiBootTest, AnItemThatReplacesOurOwnIsWarnedOf) {
  const auto memory = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB}).value();
  const auto said = [&](const char* name) {
    config_.fw_cfg = {{.name = name, .text = "1024", .file = {}}};
    FakeSlots slots;
    MmioBus mmio("mmio");
    PortBus ports("ports");
    auto boot = std::move(UefiBoot::open(config_)).value();
    EXPECT_TRUE(boot->connect(
        {.requests = {}, .memory = memory, .slots = slots, .mmio = mmio, .ports = ports}));
    testing::internal::CaptureStderr();
    EXPECT_TRUE(boot->describe({.smbios = {}, .memory64_wanted = 40_GiB, .acpi = [] {
                                  return Result<AcpiBlobs>(AcpiBlobs{});
                                }}));
    return testing::internal::GetCapturedStderr();
  };
  const auto warned = said("opt/ovmf/X-PciMmio64Mb");
  EXPECT_NE(warned.find("[[fw_cfg]] item opt/ovmf/X-PciMmio64Mb"), std::string::npos) << warned;
  EXPECT_NE(warned.find("65536 MiB"), std::string::npos) << warned;
  EXPECT_EQ(said("opt/other"), "");
}

}  // namespace
}  // namespace gpuvm::uefi_boot_test
