// SPDX-License-Identifier: Apache-2.0
// What a [[pci]] section asks of one function that cannot be had: one clear error each, from sysfs
// and files alone, so that nothing has happened to the host yet.
#include "vmm/machine/devices/view_of_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "firmware/rom/option_rom.hpp"
#include "tests/fixtures/config_space/config_dump.hpp"
#include "tests/unit/firmware/rom/rom_builder.hpp"
#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm::view_of_config_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Bytes = std::vector<std::byte>;
using test::rom_image;
using test::operator+;

const std::string kGpu = "0000:01:00.0";

class ViewOfConfigTest : public testing::Test {
 protected:
  ViewOfConfigTest() {
    add("0x030000");
    entry_.host = *Bdf::parse(kGpu);
  }
  ~ViewOfConfigTest() override { std::filesystem::remove(rom_); }
  void add(const std::string& class_code) {
    const std::string place = "/sys/bus/pci/devices/" + kGpu;
    host_.file(place + "/vendor", "0x10de\n");
    host_.file(place + "/device", "0x1b80\n");
    host_.file(place + "/subsystem_vendor", "0x1043\n");
    host_.file(place + "/subsystem_device", "0x85e7\n");
    host_.file(place + "/class", class_code + "\n");
    set_config(test::load_config_dump("nvidia-gt218"));
  }
  void set_config(const Bytes& config) {
    host_.file("/sys/bus/pci/devices/" + kGpu + "/config",
               std::string(reinterpret_cast<const char*>(config.data()), config.size()));
  }
  void use_rom(const Bytes& rom) {
    std::ofstream file(rom_, std::ios::binary);
    file.write(reinterpret_cast<const char*>(rom.data()), static_cast<std::streamsize>(rom.size()));
    entry_.rom = {.mode = PciRomMode::kFile, .path = rom_};
  }
  std::string error() {
    const auto view = view_of(host_, entry_, entry_.host);
    if (view) {
      return {};
    }
    EXPECT_EQ(view.error().kind(), ErrorKind::kConfig);
    return view.error().to_string();
  }

  FakeHost host_;
  PciConfig entry_;
  const std::string rom_ =
      testing::TempDir() + "view_of_config_" + std::to_string(::getpid()) + ".rom";
};

TEST_F(ViewOfConfigTest, GoodRom) {
  use_rom(rom_image({.last = false}) + rom_image({.code_type = 3}));
  EXPECT_EQ(error(), "");
}

TEST_F(ViewOfConfigTest, RomsThatCannotBe) {
  use_rom({});
  EXPECT_THAT(error(), HasSubstr("The ROM is empty"));
  use_rom(Bytes(OptionRom::kMaximumSize + 1));
  EXPECT_THAT(error(), HasSubstr("16777216"));
  use_rom(Bytes(4096, std::byte{0xff}));
  EXPECT_THAT(error(), HasSubstr("no image begins in it"));
  auto truncated = rom_image({.last = false}) + rom_image({.code_type = 3});
  truncated.resize(truncated.size() - 512);
  use_rom(truncated);
  EXPECT_THAT(error(), HasSubstr("it is cut off"));
  use_rom(rom_image({.last = false}));
  EXPECT_THAT(error(), HasSubstr("the bytes end there"));
  auto loop = rom_image({});
  store_le(std::span(loop).subspan(0x50, 2), 0);  // its length
  use_rom(rom_image({.last = false}) + loop);
  EXPECT_THAT(error(), HasSubstr("for ever"));
  use_rom(rom_image({.vendor = 0x1002}));
  EXPECT_THAT(error(), HasSubstr("another vendor"));
  use_rom(rom_image({.device = 0x1b81}));
  EXPECT_EQ(error(), "") << "another board's: corrected";
  entry_.rom.strict = true;
  EXPECT_THAT(error(), HasSubstr("is for 10de:1b81, the function is 10de:1b80"));
}

TEST_F(ViewOfConfigTest, CliqueWithoutRoomOrGpu) {
  entry_.gpudirect_clique = 3;
  EXPECT_EQ(error(), "");
  auto config = test::load_config_dump("nvidia-gt218");
  // The vendor-specific capability at b4 is as long as it can be.
  store_le(std::span(config).subspan(0xb6, 1), 0x4c);
  set_config(config);
  EXPECT_THAT(error(), HasSubstr("gpudirect_clique has no place"));
  set_config(test::load_config_dump("amd-navi10"));
  EXPECT_THAT(error(), HasSubstr("NVIDIA's GPUs only"));
}

TEST_F(ViewOfConfigTest, Quirks) {
  entry_.quirks = {"nvidia-mirror", "nvidia-window"};
  EXPECT_EQ(error(), "");
  entry_.quirks = {"nvidia"};
  EXPECT_THAT(error(), HasSubstr("no quirk is called \"nvidia\""));
  entry_.quirks = {"ati-window"};
  EXPECT_THAT(error(), HasSubstr("is for VGA controllers of vendor 1002"));
}

// BAR 0: 16 KiB of 64 bits with the table at 0x2000, BAR 2: I/O.
TEST_F(ViewOfConfigTest, MsixRelocation) {
  entry_.msix_relocation = PciMsixRelocation::kBar4;
  EXPECT_EQ(error(), "") << "sysfs does not tell the BARs: known when the device is opened";
  const std::string resource = "/sys/bus/pci/devices/" + kGpu + "/resource";
  std::string bars =
      "0x00000000f0000000 0x00000000f0003fff 0x0000000000140204\n"
      "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
      "0x000000000000e000 0x000000000000e07f 0x0000000000040101\n";
  for (int i = 3; i < 7; ++i) {
    bars += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  }
  host_.file(resource, bars);
  Bytes config(256);
  const auto dword = [&config](std::size_t at, std::uint32_t value) {
    store_le(std::span(config).subspan(at, 4), value);
  };
  dword(0x04, 0x00100000);
  dword(0x10, 0xf0000004);
  dword(0x18, 0x0000e001);
  dword(0x34, 0x40);
  set_config(config);
  EXPECT_THAT(error(), AllOf(HasSubstr("pci.msix_relocation of 0000:01:00.0: "),
                             HasSubstr("has no MSI-X; leave the key out")));
  dword(0x40, 0x000f0011);
  dword(0x44, 0x2000);
  dword(0x48, 0x3000);
  set_config(config);
  EXPECT_EQ(error(), "");
  EXPECT_EQ(view_of(host_, entry_, entry_.host)->msix_relocation,
            (MsixRelocation{.mode = MsixRelocation::Mode::kBar, .bar = 4}));
  entry_.msix_relocation = PciMsixRelocation::kBar1;
  EXPECT_THAT(error(), HasSubstr("upper half of the 64-bit BAR 0; choose another BAR"));
  entry_.msix_relocation = PciMsixRelocation::kBar2;
  EXPECT_THAT(error(), HasSubstr("BAR 2 has I/O ports"));
  entry_.msix_relocation = PciMsixRelocation::kBar0;
  EXPECT_EQ(error(), "");
  entry_.coherent_memory = PciCoherentMemory{0};
  EXPECT_THAT(error(), HasSubstr("BAR 0 is coherent_memory"));
}

TEST_F(ViewOfConfigTest, MsixRelocationOfAServersFunction) {
  PciConfig remote;
  remote.socket = "/run/gpu.sock";
  remote.msix_relocation = PciMsixRelocation::kAuto;
  const auto functions = resolve_functions(host_, {remote});
  ASSERT_TRUE(functions) << functions.error().to_string();
  ASSERT_EQ(functions->size(), 1U);
  EXPECT_EQ(functions->front().view.msix_relocation.mode, MsixRelocation::Mode::kAuto);
}

// Whether the file is for the function is known when the server has been asked.
TEST_F(ViewOfConfigTest, RomAndIdsOfAServersFunction) {
  use_rom(rom_image({.vendor = 0x1002}));
  PciConfig remote;
  remote.socket = "/run/gpu.sock";
  remote.rom = entry_.rom;
  remote.acpi_rom = PciAcpiRomMode::kOn;
  remote.identity.device_id = 0x67df;
  remote.identity.class_code = 0x030000;
  const auto view = view_of_remote(remote);
  ASSERT_TRUE(view) << view.error().to_string();
  EXPECT_EQ(view->rom.contents, rom_image({.vendor = 0x1002}));
  EXPECT_EQ(view->rom.unfitted_file, rom_);
  EXPECT_EQ(view->acpi_rom, AcpiRomChoice::kOn);
  EXPECT_EQ(view->identity.device, 0x67df);
  EXPECT_EQ(view->identity.class_code, 0x030000U);
  remote.rom.strict = true;
  EXPECT_EQ(view_of_remote(remote)->rom.check, RomCheck::kStrict);
  use_rom(Bytes(4096, std::byte{0xff}));
  const auto no_rom = view_of_remote(remote);
  ASSERT_FALSE(no_rom);
  EXPECT_THAT(no_rom.error().to_string(), HasSubstr("no image begins in it"));
  remote.rom.path = "/nothing/there.rom";
  const auto missing = view_of_remote(remote);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kConfig);
  remote.rom.mode = PciRomMode::kOff;
  EXPECT_TRUE(view_of_remote(remote)->rom.hidden);
}

TEST_F(ViewOfConfigTest, IdsOfABridge) {
  add("0x060400");
  entry_.identity.device_id = 0x1234;
  EXPECT_THAT(error(), HasSubstr("is a bridge, whose ids cannot be overridden"));
}

}  // namespace
}  // namespace gpuvm::view_of_config_test
