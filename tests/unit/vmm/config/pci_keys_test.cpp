// SPDX-License-Identifier: Apache-2.0
// [[pci]]: the keys of how a function looks and is opened.
#include "vmm/config/config.hpp"

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::pci_keys_test {
namespace {

std::string pci_error(const std::string& keys) {
  const auto config = parse_bootable("[[pci]]\nhost = '01:00.0'\n" + keys);
  return config ? std::string() : config.error().to_string();
}

TEST(PciSection, RomIdsAndClique) {
  const auto rom = [](const std::string& value) {
    return parse_bootable("[[pci]]\nhost = '01:00.0'\nrom = " + value)->pci[0].rom;
  };
  EXPECT_EQ(rom("'auto'"), PciRomConfig{});
  EXPECT_EQ(rom("'off'").mode, PciRomMode::kOff);
  EXPECT_EQ(rom("'/x/gpu.rom'"), (PciRomConfig{PciRomMode::kFile, "/x/gpu.rom", false}));
  EXPECT_EQ(rom("'./off'").mode, PciRomMode::kFile);
  EXPECT_NE(pci_error("rom = ''").find("pci.0.rom"), std::string::npos);
  EXPECT_EQ(pci_error("p2p = true\nquirks = ['b', 'a']"), "");
  EXPECT_NE(pci_error("quirks = ['a', 'a']").find("a quirk twice"), std::string::npos);
  EXPECT_NE(pci_error("rom_check = 'lax'").find("strict"), std::string::npos);
  EXPECT_EQ(pci_error("vendor_id = 0xfffe\nclass = 0x030200\ngpudirect_clique = 15"), "");
  for (const char* wrong : {"vendor_id = 0xffff", "device_id = 0x10000", "sub_vendor_id = -1",
                            "class = 0x1000000", "class = 0x060400", "gpudirect_clique = 16"}) {
    const std::string key(wrong, std::string(wrong).find(' '));
    EXPECT_NE(pci_error(wrong).find("pci.0." + key), std::string::npos) << wrong;
  }
}

TEST(PciSection, AcpiRom) {
  const auto mode = [](const std::string& keys) {
    return parse_bootable("[[pci]]\nhost = '01:00.0'\n" + keys)->pci[0].acpi_rom;
  };
  EXPECT_EQ(mode(""), PciAcpiRomMode::kAuto);
  EXPECT_EQ(mode("acpi_rom = 'on'"), PciAcpiRomMode::kOn);
  EXPECT_EQ(mode("acpi_rom = 'off'\nrom = 'off'"), PciAcpiRomMode::kOff);
  EXPECT_NE(pci_error("acpi_rom = 'yes'").find("pci.0.acpi_rom must be"), std::string::npos);
  EXPECT_NE(pci_error("acpi_rom = 'on'\nrom = 'off'").find("acpi_rom needs an option ROM"),
            std::string::npos);
}

TEST(PciSection, ResizeBar) {
  const auto choice = [](const std::string& value) {
    return parse_bootable("[[pci]]\nhost = '01:00.0'\nresize_bar = " + value)->pci[0].resize_bar;
  };
  EXPECT_EQ(choice("'keep'"), std::nullopt);
  EXPECT_EQ(choice("'max'"), PciBarSize{});
  EXPECT_EQ(choice("'16GiB'"), (PciBarSize{.bar = {}, .size = 16_GiB}));
  EXPECT_EQ(choice("'1MiB'"), (PciBarSize{.bar = {}, .size = 1_MiB}));
  EXPECT_EQ(choice("{ bar = 2, size = '128TiB' }"), (PciBarSize{.bar = 2, .size = 131072_GiB}));
  EXPECT_EQ(choice("{ bar = 5, size = 'max' }"), (PciBarSize{.bar = 5, .size = 0}));
  for (const char* wrong : {"'3GiB'", "'256TiB'", "'1KiB'", "'0MiB'", "''", "1024", "true", "{}",
                            "{ bar = 6, size = 'max' }", "{ size = 'max' }", "{ bar = 1 }",
                            "{ bar = 1, size = 'keep' }", "{ bar = 1, size = '3GiB' }",
                            "{ bar = 1, size = 'max', x = 1 }"}) {
    EXPECT_NE(pci_error(std::string("resize_bar = ") + wrong).find("pci.0.resize_bar"),
              std::string::npos)
        << wrong;
  }
  EXPECT_NE(pci_error("resize_bar = 'max'\nmanaged = false").find("needs managed = true"),
            std::string::npos);
  EXPECT_NE(pci_error("resize_bar = 'max'\ncoherent_memory = { bar = 2, place = 'host' }")
                .find("exclude each other"),
            std::string::npos);
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\nresize_bar = 'max'"),
                        "pci.0.resize_bar goes with host or match only");
}

TEST(PciSection, Scrub) {
  const auto entry = [](const std::string& keys) {
    return parse_bootable("[[pci]]\nhost = '01:00.0'\n" + keys)->pci[0];
  };
  EXPECT_EQ(entry("").scrub, PciScrub::kOff);
  EXPECT_EQ(entry("scrub = 'off'").scrub, PciScrub::kOff);
  EXPECT_EQ(entry("scrub = 'vram'").scrub, PciScrub::kVram);
  EXPECT_EQ(entry("scrub = 'vram'").scrub_limit, std::chrono::minutes(10));
  const auto chosen = entry("scrub = 'vram'\nscrub_bars = [3, 0]\nscrub_limit = '15min'");
  EXPECT_EQ(chosen.scrub_bars, (std::vector<std::uint8_t>{0, 3}));
  EXPECT_EQ(chosen.scrub_limit, std::chrono::minutes(15));
  EXPECT_EQ(parse_bootable("[[pci]]\nsocket = 's'\nscrub = 'vram'")->pci[0].scrub, PciScrub::kVram);
  EXPECT_NE(pci_error("scrub = 'all'").find("pci.0.scrub must be"), std::string::npos);
  EXPECT_NE(pci_error("scrub_bars = [1]").find("scrub_bars goes with scrub = \"vram\" only"),
            std::string::npos);
  EXPECT_NE(pci_error("scrub_limit = '1s'").find("scrub_limit goes with scrub"), std::string::npos);
  EXPECT_NE(pci_error("scrub = 'vram'\nreset = 'none'").find("scrub needs a reset"),
            std::string::npos);
  for (const char* wrong : {"scrub_bars = []", "scrub_bars = [6]", "scrub_bars = [-1]",
                            "scrub_bars = [1, 1]", "scrub_bars = 1", "scrub_bars = ['1']",
                            "scrub_limit = 'off'", "scrub_limit = '16min'", "scrub_limit = 5"}) {
    const std::string key(wrong, std::string(wrong).find(' '));
    EXPECT_NE(pci_error("scrub = 'vram'\n" + std::string(wrong)).find("pci.0." + key),
              std::string::npos)
        << wrong;
  }
}

TEST(PciSection, VfToken) {
  const auto token = [](const std::string& value) {
    return parse_bootable("[[pci]]\nhost = '01:00.0'\nvf_token = '" + value + "'")->pci[0].vf_token;
  };
  EXPECT_EQ(token("14D63F20-8445-11ea-8900-1f9ce7d5650d"), "14d63f20-8445-11ea-8900-1f9ce7d5650d");
  for (const char* wrong :
       {"''", "'14d63f2008445-11ea-8900-1f9ce7d5650d'", "1",
        "'14d63f20-8445-11ea-8900-1f9ce7d5650g'", "'14d63f20-8445-11ea-8900-1f9ce7d5650d '"}) {
    EXPECT_NE(pci_error(std::string("vf_token = ") + wrong).find("pci.0.vf_token must be a UUID"),
              std::string::npos)
        << wrong;
  }
}

TEST(PciSection, MsixRelocation) {
  const auto choice = [](const std::string& source, const std::string& keys) {
    return parse_bootable("[[pci]]\n" + source + "\n" + keys)->pci[0].msix_relocation;
  };
  EXPECT_EQ(choice("host = '01:00.0'", ""), PciMsixRelocation::kOff);
  EXPECT_EQ(choice("host = '01:00.0'", "msix_relocation = 'auto'"), PciMsixRelocation::kAuto);
  EXPECT_EQ(choice("host = '01:00.0'", "msix_relocation = 'bar0'"), PciMsixRelocation::kBar0);
  EXPECT_EQ(choice("socket = 's'", "msix_relocation = 'bar5'"), PciMsixRelocation::kBar5);
  for (const char* wrong : {"'bar6'", "'bar'", "'BAR0'", "''", "4", "true", "['bar0']"}) {
    EXPECT_NE(pci_error(std::string("msix_relocation = ") + wrong).find("pci.0.msix_relocation"),
              std::string::npos)
        << wrong;
  }
}

TEST(PciSection, CoherentMemoryNamesABarOrARegion) {
  EXPECT_EQ(pci_error("coherent_memory = { bar = 2 }"), "");
  EXPECT_EQ(pci_error("coherent_memory = { bar = 2, place = 'host' }"), "");
  EXPECT_EQ(pci_error("coherent_memory = { region = 'nvlink2-ram' }"), "");
  EXPECT_EQ(pci_error("coherent_memory = { region = '0x800010de:1' }"), "");
  for (const char* wrong :
       {"coherent_memory = { bar = 6 }", "coherent_memory = {}", "coherent_memory = 2",
        "coherent_memory = { bar = 2, x = 1 }",
        "coherent_memory = { bar = 2, region = 'nvlink2-ram' }",
        "coherent_memory = { region = 'a b' }", "coherent_memory = { bar = 2, place = 'there' }",
        "coherent_memory = { region = 'nvlink2-ram', place = 'host' }"}) {
    EXPECT_NE(pci_error(wrong).find("pci.0.coherent_memory"), std::string::npos) << wrong;
  }
}

}  // namespace
}  // namespace gpuvm::pci_keys_test
