// SPDX-License-Identifier: Apache-2.0
// [[pci]]: which devices, and what excludes what.
#include "vmm/config/config.hpp"

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::pci_section_test {
namespace {

TEST(PciSection, Entries) {
  const auto functions_of = [](const std::string& value) {
    return parse_bootable("[[pci]]\nhost = '01:00.1'\nfunctions = " + value);
  };
  EXPECT_TRUE(functions_of("'all'")->pci[0].functions.empty());
  EXPECT_EQ(functions_of("[3, 1]")->pci[0].functions, (std::vector<std::uint8_t>{1, 3}));
  expect_error_contains(functions_of("'some'"), "not \"some\"");
  expect_error_contains(functions_of("[]"), "not an empty list");
  expect_error_contains(functions_of("[1, 8]"), "pci.0.functions has 8");
  expect_error_contains(functions_of("[1, -1]"), "pci.0.functions has -1");
  expect_error_contains(functions_of("[1, '2']"), "a list with a string");
  expect_error_contains(functions_of("3"), "not an integer");
  expect_error_contains(functions_of("[1, 1]"), "names a function twice");
  expect_error_contains(functions_of("[0, 2]"), "must contain 1, the function that host names");
  expect_error_contains(parse_bootable("[[pci]]\nmanaged = true"), "pci.0.host is missing");
  expect_error_contains(parse_bootable("[[pci]]\nport = 1"), "or socket = \"PATH\"");
  expect_error(parse_bootable("[[pci]]\nhost = '01:20.0'"),
               "pci.0.host must be a PCI address such as \"0000:01:00.0\" (see lspci -D), not "
               "\"01:20.0\" (guest.toml:3:8)");
  expect_error_contains(parse_bootable("[[pci]]\nhost = '10de:2204'"),
                        "not \"10de:2204\" (guest.toml:3:8); these are ids: match = \"10de:2204\"");
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'\nport = 32"),
                        "pci.0.port must be an integer from 0 to 31, not 32");
}

TEST(PciSection, Reset) {
  const auto config =
      parse_bootable("[[pci]]\nhost = '01:00.0'\nreset = 'function'\nreset_wait = 60000");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->pci[0].reset, ResetChoice::kFunction);
  EXPECT_EQ(config->pci[0].reset_wait, 60000U);
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'\nreset = 'bus'"), "pci.0.reset");
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'\nreset_wait = -1"),
                        "pci.0.reset_wait must be an integer from 0 to 60000");
}

TEST(PciSection, Conflicts) {
  const auto two = [](const std::string& first, const std::string& second) {
    return parse_bootable("[[pci]]\n" + first + "\n[[pci]]\n" + second);
  };
  expect_error(two("host = '01:00.0'", "host = '0000:01:00.0'"),
               "pci.1.host 0000:01:00.0 is already given by pci.0 (guest.toml:5:8)");
  expect_error_contains(
      two("host = '01:00.0'\nfunctions = [0, 1]", "host = '01:00.1'\nfunctions = [1]"),
      "pci.1.host 0000:01:00.1 shares functions of its slot with pci.0");
  // Both may be virtual functions, which are taken alone: sysfs tells.
  EXPECT_TRUE(two("host = '01:10.0'", "host = '01:10.1'"));
  EXPECT_TRUE(two("host = '01:00.4'", "host = '01:00.5'"));
  EXPECT_TRUE(two("host = '01:00.0'\nfunctions = [0]", "host = '01:00.4'"));
  // The first address of a bus is no virtual function's.
  const std::string told =
      "and functions = \"all\" takes the whole slot: remove one entry, or write functions = ";
  expect_error(two("host = '01:00.0'", "host = '01:00.1'"),
               "pci.1.host 0000:01:00.1 is in the slot of pci.0, " + told +
                   "[1] here and functions = [0] there (guest.toml:5:8)");
  expect_error_contains(two("host = '01:00.1'\nfunctions = [1]", "host = '01:00.0'"), told + "[0]");
  expect_error_contains(two("host = '01:00.0'", "host = '01:00.1'\nfunctions = [1]"), told + "[1]");
  EXPECT_TRUE(two("host = '01:00.0'\nfunctions = [0]", "host = '01:00.1'\nfunctions = [1]"));
  EXPECT_TRUE(two("host = '01:00.0'", "host = '01:01.0'"));
  EXPECT_TRUE(two("host = '01:00.0'", "host = '0001:01:00.0'"));
  // Slots may share a root port.
  EXPECT_TRUE(two("host = '01:00.0'\nport = 2", "host = '02:00.0'\nport = 2"));
}

// "hot" resets the bus with all that is there.
TEST(PciSection, HotAndNoneOnOneBus) {
  const auto two = [](const std::string& first, const std::string& second) {
    return parse_bootable("[[pci]]\n" + first + "\n[[pci]]\n" + second);
  };
  expect_error(
      two("host = '01:00.0'\nreset = 'hot'", "host = '01:01.0'\nreset = 'none'"),
      "pci.1.reset contradicts that of pci.0, which is on the same bus: \"hot\" resets all "
      "that is there, so \"none\" cannot hold (guest.toml:7:9)");
  expect_error_contains(two("host = '01:00.0'\nreset = 'none'", "host = '01:00.1'\nreset = 'hot'"),
                        "pci.1.reset is not that of pci.0, which is in the same slot");
  EXPECT_TRUE(two("host = '01:00.0'\nreset = 'hot'", "host = '02:00.0'\nreset = 'none'"));
  EXPECT_TRUE(two("host = '01:00.0'\nreset = 'hot'", "host = '01:01.0'\nreset = 'function'"));
  EXPECT_TRUE(two("host = '01:00.0'\nreset = 'hot'", "host = '01:01.0'"));
}

TEST(PciSection, AtMost64Slots) {
  std::string text;
  for (int i = 10; i < 74; ++i) {
    text += "[[pci]]\nhost = '" + std::to_string(i) + ":00.0'\n";
  }
  EXPECT_TRUE(parse_bootable(text));
  expect_error_contains(parse_bootable(text + "[[pci]]\nhost = '09:00.0'"),
                        "pci.64.host is in one section too many: at most 64 [[pci]] are accepted");
}

TEST(PciSection, ASocketTakesThePlaceOfAHost) {
  const auto config = parse_bootable("[[pci]]\nsocket = 'run/gpu.sock'\nport = 3");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->pci[0].socket, "/guests/run/gpu.sock");
  EXPECT_EQ(config->pci[0].port, 3);
  expect_error(parse_bootable("[[pci]]\nhost = '01:00.0'\nsocket = 's'"),
               "pci.0.socket and host exclude each other: a device has one source "
               "(guest.toml:4:10)");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\nmanaged = true"),
                        "pci.0.managed goes with host or match only");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\nfunctions = 'all'"),
                        "pci.0.functions goes with host or match only");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\n[[pci]]\nsocket = 's'"),
                        "is already given by pci.0");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 3"), "pci.0.socket must be a string");
  EXPECT_TRUE(parse_bootable("[[pci]]\nsocket = 's'\n[[pci]]\nhost = '00:00.0'"));
  for (const char* key : {"p2p = true", "quirks = []", "gpudirect_clique = 1"}) {
    expect_error_contains(parse_bootable(std::string("[[pci]]\nsocket = 's'\n") + key),
                          "goes with host or match only");
  }
}

TEST(PciSection, ASocketsFunctionLooksAsTheUserWants) {
  const auto config = parse_bootable(
      "[[pci]]\nsocket = 's'\nrom = 'r.rom'\nrom_check = 'strict'\nacpi_rom = 'on'\n"
      "vendor_id = 0x10de\ndevice_id = 0x1c82\nsub_vendor_id = 1\nsub_device_id = 2\n"
      "class = 0x030200");
  ASSERT_TRUE(config) << config.error().to_string();
  const auto& pci = config->pci[0];
  EXPECT_EQ(pci.rom, (PciRomConfig{PciRomMode::kFile, "/guests/r.rom", true}));
  EXPECT_EQ(pci.acpi_rom, PciAcpiRomMode::kOn);
  EXPECT_EQ(pci.identity, (PciIdentityConfig{0x10de, 0x1c82, 1, 2, 0x030200}));
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\nrom = 'off'\nacpi_rom = 'on'"),
                        "pci.0.acpi_rom needs an option ROM");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\nclass = 0x060400"),
                        "makes a bridge of a device");
}

}  // namespace
}  // namespace gpuvm::pci_section_test
