// SPDX-License-Identifier: Apache-2.0
// What sections mean, and which values they refuse.
#include "vmm/config/config.hpp"

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::config_test {
namespace {

TEST(Config, SmallestHasDefaults) {
  const auto config = parse("[boot]\nkernel = 'vmlinuz'\n");
  ASSERT_TRUE(config) << config.error().to_string();
  Config expected;
  expected.name = "guest";
  expected.boot.kernel = "/guests/vmlinuz";
  EXPECT_EQ(*config, expected);
  EXPECT_EQ(config->machine.memory, 1_GiB);
  ASSERT_EQ(config->console.serial.size(), 1U);
  EXPECT_EQ(config->console.serial[0].kind, SerialTarget::Kind::kStdio);
}

TEST(Config, EverythingSet) {
  const auto config = parse(R"(
name = "desk-1.test_a"
[machine]
cpus = 255
memory = "4GiB"
hugepages = "1GiB"
on_reboot = "exit"
[cpu]
hide = ["avx512f", "la57"]
[boot]
mode = "linux"
kernel = "/boot/vmlinuz"
initrd = "images/initrd"
cmdline = "console=ttyS0 quiet"
[[pci]]
host = "0000:01:00.0"
functions = [1, 0]
managed = false
port = 7
[[pci]]
host = "0a:1f.7"
[console]
serial = ["stdio", "pty", "file:log/serial", "socket:/run/serial"]
)");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->name, "desk-1.test_a");
  EXPECT_EQ(config->machine, (MachineConfig{.cpus = 255,
                                            .memory = 4_GiB,
                                            .huge_pages = HugePages::k1GiB,
                                            .on_reboot = RebootAction::kExit}));
  EXPECT_EQ(config->cpu.hide, (std::vector<std::string>{"avx512f", "la57"}));
  EXPECT_EQ(config->boot, (BootConfig{.mode = BootMode::kLinux,
                                      .kernel = "/boot/vmlinuz",
                                      .initrd = "/guests/images/initrd",
                                      .cmdline = "console=ttyS0 quiet"}));
  ASSERT_EQ(config->pci.size(), 2U);
  EXPECT_EQ(config->pci[0],
            (PciConfig{.host = Bdf{0, 1, 0, 0}, .functions = {0, 1}, .managed = false, .port = 7}));
  EXPECT_EQ(config->pci[1],
            (PciConfig{.host = Bdf{0, 0x0a, 0x1f, 7}, .functions = {}, .managed = true}));
  using Kind = SerialTarget::Kind;
  EXPECT_EQ(config->console.serial, (std::vector<SerialTarget>{{Kind::kStdio, ""},
                                                               {Kind::kPty, ""},
                                                               {Kind::kFile, "/guests/log/serial"},
                                                               {Kind::kSocket, "/run/serial"}}));
}

TEST(Config, MemorySizes) {
  const auto memory_of = [](const std::string& text) {
    const auto config = parse_bootable("machine.memory = '" + text + "'");
    return config ? config->machine.memory : 0;
  };
  EXPECT_EQ(memory_of("128MiB"), 128_MiB);
  EXPECT_EQ(memory_of("130M"), 130_MiB);
  EXPECT_EQ(memory_of("4G"), 4_GiB);
  EXPECT_EQ(memory_of("16T"), 16384_GiB);
  EXPECT_EQ(memory_of("2TiB"), 2048_GiB);
  for (const char* refused : {"", "GiB", "4", "4GB", "4 GiB", "-4GiB", "+4GiB", "1.5GiB", "4gib",
                              "127MiB", "126MiB", "17T", "16385GiB", "0x10GiB",
                              "99999999999999999999999GiB", "18446744073709551615TiB", "4GiB "}) {
    EXPECT_EQ(memory_of(refused), 0U) << refused;
  }
}

TEST(Config, MemoryMustBeWholePages) {
  expect_error(parse_bootable("machine.memory = '129MiB'"),
               "machine.memory must be a multiple of 2MiB (guest.toml:2:18)");
  expect_error(parse_bootable("[machine]\nhugepages = '1GiB'\nmemory = '1536MiB'"),
               "machine.memory must be whole GiB, because machine.hugepages is \"1GiB\" "
               "(guest.toml:4:10)");
}

TEST(Config, IllTypedValuesNameKeyRuleAndPlace) {
  expect_error(parse_bootable("[machine]\ncpus = 'x'"),
               "machine.cpus must be an integer from 1 to 255, not a string (guest.toml:3:8)");
  expect_error(parse_bootable("machine.cpus = 256"),
               "machine.cpus must be an integer from 1 to 255, not 256 (guest.toml:2:16)");
  expect_error(parse_bootable("machine.cpus = 0"),
               "machine.cpus must be an integer from 1 to 255, not 0 (guest.toml:2:16)");
  expect_error_contains(parse_bootable("machine.cpus = 1.5"), "not a number with a fraction");
  expect_error_contains(parse_bootable("machine.cpus = 2024-01-01"), "not a date or time");
  expect_error_contains(parse_bootable("machine.memory = 1073741824"),
                        "machine.memory must be a size from \"128MiB\" to \"16TiB\" such as "
                        "\"512MiB\" or \"4GiB\", not an integer");
  expect_error(parse_bootable("machine.hugepages = true"),
               "machine.hugepages must be \"off\", \"2MiB\" or \"1GiB\", not a boolean "
               "(guest.toml:2:21)");
  expect_error(parse_bootable("machine.on_reboot = 'Exit'"),
               "machine.on_reboot must be \"reset\" or \"exit\", not \"Exit\" (guest.toml:2:21)");
  expect_error(parse_bootable("machine = 3"),
               "machine must be a table, [machine], not an integer (guest.toml:2:11)");
  expect_error(parse_bootable("[pci]\nhost = '01:00.0'"),
               "pci must be a list of tables, [[pci]], not a table (guest.toml:2:1)");
  expect_error_contains(parse_bootable("pci = [1]"), "pci must be a list of tables, [[pci]]");
  expect_error_contains(parse_bootable("console.serial = 'stdio'"), "must be a list of strings");
  expect_error_contains(parse_bootable("cpu.hide = ['a', 1]"), "one with an integer");
}

TEST(Config, KernelIsRequired) {
  expect_error_contains(parse(""), "boot.kernel is missing");
  expect_error_contains(parse("[boot]\ncmdline = 'quiet'"), "boot.kernel is missing");
  expect_error_contains(parse("boot.kernel = ''"), "boot.kernel must not be empty");
  expect_error_contains(parse("boot.kernel = '" + std::string(4096, 'k') + "'"),
                        "boot.kernel is longer than a path can be");
}

TEST(Config, StringsHaveNoControlCharacters) {
  expect_error_contains(parse(R"(boot.kernel = "/k\u0000")"),
                        "must not contain control characters");
  expect_error_contains(parse_bootable(R"(boot.cmdline = "a\nb")"),
                        "boot.cmdline must not contain control characters");
  expect_error_contains(parse_bootable(R"(console.serial = ["file:a\u007f"])"),
                        "must not contain control characters");
  EXPECT_TRUE(parse_bootable("boot.cmdline = 'naïve \"quoted\" \\ path'"));
}

TEST(Config, Names) {
  const auto name_is_good = [](const std::string& name) {
    return parse_bootable("name = '" + name + "'").has_value();
  };
  EXPECT_TRUE(name_is_good(std::string(64, 'a')));
  EXPECT_TRUE(name_is_good("a-b_c.9"));
  for (const auto& refused : {std::string(65, 'a'), std::string(), std::string("Upper"),
                              std::string("a/b"), std::string("a b"), std::string("é")}) {
    EXPECT_FALSE(name_is_good(refused)) << refused;
  }
  const auto from_file = parse_config("boot.kernel = '/k'", {"My Guest.toml", "/", "My Guest"});
  expect_error_contains(from_file, "name is missing, and the file's own name \"My Guest\"");
  EXPECT_TRUE(parse_config("name = 'x'\nboot.kernel = '/k'", {"My Guest.toml", "/", "My Guest"}));
}

TEST(Config, HiddenFeatures) {
  expect_error(parse_bootable("cpu.hide = ['AVX']"),
               "cpu.hide has \"AVX\": each must be a feature's name as in the flags of "
               "/proc/cpuinfo (guest.toml:2:12)");
  EXPECT_FALSE(parse_bootable("cpu.hide = ['']"));
  EXPECT_TRUE(parse_bootable("cpu.hide = []"));
}

TEST(Config, SerialTargets) {
  const auto off = parse_bootable("console.serial = ['off']");
  ASSERT_TRUE(off);
  EXPECT_TRUE(off->console.serial.empty());
  expect_error(parse_bootable("console.serial = ['off', 'pty']"),
               "console.serial must be a list of \"stdio\", \"pty\", \"file:PATH\" and "
               "\"socket:PATH\", or [\"off\"], not \"off\" (guest.toml:2:18)");
  for (const char* refused : {"", "tty", "file:", "socket:", "STDIO", "file"}) {
    EXPECT_FALSE(parse_bootable("console.serial = ['" + std::string(refused) + "']")) << refused;
  }
  expect_error_contains(parse_bootable("console.serial = ['stdio', 'stdio']"),
                        "names \"stdio\" twice");
  // unix(7): sun_path has 108 bytes with its NUL.
  const std::string longest = "/" + std::string(106, 's');
  EXPECT_TRUE(parse_bootable("console.serial = ['socket:" + longest + "']"));
  expect_error_contains(parse_bootable("console.serial = ['socket:" + longest + "s']"),
                        "socket path of 108 bytes");
}

TEST(Config, PciEntries) {
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
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'\nport = 32"),
                        "pci.0.port must be an integer from 0 to 31, not 32");
}

TEST(Config, PciReset) {
  const auto config =
      parse_bootable("[[pci]]\nhost = '01:00.0'\nreset = 'function'\nreset_wait = 60000");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->pci[0].reset, ResetChoice::kFunction);
  EXPECT_EQ(config->pci[0].reset_wait, 60000U);
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'\nreset = 'bus'"), "pci.0.reset");
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'\nreset_wait = -1"),
                        "pci.0.reset_wait must be an integer from 0 to 60000");
}

TEST(Config, PciConflicts) {
  const auto two = [](const std::string& first, const std::string& second) {
    return parse_bootable("[[pci]]\n" + first + "\n[[pci]]\n" + second);
  };
  expect_error(two("host = '01:00.0'", "host = '0000:01:00.0'"),
               "pci.1.host 0000:01:00.0 is already given by pci.0 (guest.toml:5:8)");
  expect_error_contains(
      two("host = '01:00.0'\nfunctions = [0, 1]", "host = '01:00.1'\nfunctions = [1]"),
      "pci.1.host 0000:01:00.1 shares functions of its slot with pci.0");
  // Both may be virtual functions, which are taken alone: sysfs tells.
  EXPECT_TRUE(two("host = '01:00.0'", "host = '01:00.1'"));
  EXPECT_TRUE(two("host = '01:00.0'\nfunctions = [0]", "host = '01:00.1'\nfunctions = [1]"));
  EXPECT_TRUE(two("host = '01:00.0'", "host = '01:01.0'"));
  EXPECT_TRUE(two("host = '01:00.0'", "host = '0001:01:00.0'"));
  // Slots may share a root port.
  EXPECT_TRUE(two("host = '01:00.0'\nport = 2", "host = '02:00.0'\nport = 2"));
}

TEST(Config, AtMost64Slots) {
  std::string text;
  for (int i = 10; i < 74; ++i) {
    text += "[[pci]]\nhost = '" + std::to_string(i) + ":00.0'\n";
  }
  EXPECT_TRUE(parse_bootable(text));
  expect_error_contains(parse_bootable(text + "[[pci]]\nhost = '09:00.0'"),
                        "pci.64.host is in one section too many: at most 64 [[pci]] are accepted");
}

TEST(Disks, AreReadInOrder) {
  const auto config =
      parse_bootable("[[disk]]\npath = 'a.img'\n[[disk]]\npath='/dev/b'\nreadonly=true");
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->disks.size(), 2U);
  EXPECT_EQ(config->disks[0], (DiskConfig{.path = "/guests/a.img"}));
  EXPECT_EQ(config->disks[1], (DiskConfig{.path = "/dev/b", .read_only = true}));
}

TEST(Disks, WhatIsWrongWithThem) {
  expect_error_contains(parse_bootable("[[disk]]\nreadonly = true"), "disk.0.path is missing");
  expect_error_contains(parse_bootable("[[disk]]\npath = 'a'\nread_only = true"),
                        "Unknown key disk.0.read_only");
  expect_error_contains(parse_bootable("[[disk]]\npath = 'a'\n[[disk]]\npath = '/guests/a'"),
                        "disk.1.path is already given by disk.0");
  expect_error_contains(parse_bootable("[[disk]]\npath = 'a'\nboot = true"),
                        "disk.0.boot needs a boot.mode that starts from disks");
  std::string text;
  for (unsigned i = 0; i < 8; ++i) {
    text += "[[disk]]\npath = 'd" + std::to_string(i) + "'\n";
  }
  EXPECT_TRUE(parse_bootable(text));
  expect_error_contains(parse_bootable(text + "[[disk]]\npath = 'more'"),
                        "disk.8.path is in one section too many: at most 8 [[disk]] are accepted");
}

TEST(Disks, WhatTheyAreAndMay) {
  const auto config = parse_bootable(
      "[[disk]]\npath = '/a'\nformat = 'qcow2'\nthrowaway = true\nserial = 'root-1'\n"
      "cache = 'none'\ndiscard = false\nqueues = 2\n"
      "throttle = { iops = 500, bandwidth = '20MiB' }");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->disks[0], (DiskConfig{.path = "/a",
                                          .format = DiskFormat::kQcow2,
                                          .throwaway = true,
                                          .serial = "root-1",
                                          .cache = DiskCache::kNone,
                                          .discard = false,
                                          .queues = 2,
                                          .throttle = {.iops = 500, .bandwidth = 20_MiB}}));
  EXPECT_EQ(serial_of(config->disks[0], 3), "root-1");
  EXPECT_EQ(serial_of({.path = "/a"}, 3), "gpuvm-disk-3");
}

TEST(Disks, ValuesThatCannotBe) {
  const auto disk = [](const char* keys) {
    return parse_bootable(fmt::format("[[disk]]\npath = 'a'\n{}", keys));
  };
  expect_error_contains(disk("format = 'iso'"), "disk.0.format must be");
  expect_error_contains(disk("cache = 'directsync'"), "disk.0.cache must be");
  expect_error_contains(disk("serial = ''"), "disk.0.serial must be 1 to 20 of the characters");
  expect_error_contains(disk("serial = 'with space'"), "disk.0.serial must be");
  expect_error_contains(disk("serial = '123456789012345678901'"), "disk.0.serial must be");
  expect_error_contains(disk("queues = 0"), "disk.0.queues must be");
  expect_error_contains(disk("queues = 17"), "disk.0.queues must be");
  expect_error_contains(disk("throttle = { iops = 0 }"), "disk.0.throttle.iops must be");
  expect_error_contains(disk("throttle = { bandwidth = '10' }"),
                        "disk.0.throttle.bandwidth must be what goes in a second");
  expect_error_contains(disk("throttle = { bandwidth = '0MiB' }"), "throttle.bandwidth must be");
  expect_error_contains(disk("throttle = { bps = 5 }"), "Unknown key disk.0.throttle.bps");
  expect_error_contains(disk("throwaway = true\nreadonly = true"),
                        "disk.0.throwaway does not go with readonly");
}

// Two disks of one serial number are one to udev: /dev/disk/by-id/virtio-SERIAL.
TEST(Disks, SerialsDiffer) {
  expect_error_contains(
      parse_bootable("[[disk]]\npath='a'\nserial='s'\n[[disk]]\npath='b'\nserial='s'"),
      "disk.1.serial is \"s\", as that of disk.0 is already: give each its own");
  expect_error_contains(
      parse_bootable("[[disk]]\npath='a'\nserial='gpuvm-disk-1'\n[[disk]]\npath='b'"),
      "disk.1.serial is \"gpuvm-disk-1\"");
}

TEST(Pci, ASocketTakesThePlaceOfAHost) {
  const auto config = parse_bootable("[[pci]]\nsocket = 'run/gpu.sock'\nport = 3");
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->pci[0].socket, "/guests/run/gpu.sock");
  EXPECT_EQ(config->pci[0].port, 3);
  expect_error(parse_bootable("[[pci]]\nhost = '01:00.0'\nsocket = 's'"),
               "pci.0.socket and host exclude each other: a device has one source "
               "(guest.toml:4:10)");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\nmanaged = true"),
                        "pci.0.managed goes with host only");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\nfunctions = 'all'"),
                        "pci.0.functions goes with host only");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\n[[pci]]\nsocket = 's'"),
                        "is already given by pci.0");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 3"), "pci.0.socket must be a string");
  EXPECT_TRUE(parse_bootable("[[pci]]\nsocket = 's'\n[[pci]]\nhost = '00:00.0'"));
  for (const char* key : {"p2p = true", "quirks = []", "gpudirect_clique = 1"}) {
    expect_error_contains(parse_bootable(std::string("[[pci]]\nsocket = 's'\n") + key),
                          "goes with host only");
  }
}

TEST(Pci, ASocketsFunctionLooksAsTheUserWants) {
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
                        "pci.0.resize_bar goes with host only");
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

TEST(NodeSection, CpusAndMemoryAreGivenOutOnce) {
  const auto nodes = [](const std::string& text) {
    return parse_bootable("[machine]\ncpus = 4\nmemory = '1GiB'\n" + text);
  };
  const auto good = nodes(
      "[[node]]\ncpus = [2, 0]\nmemory = '512MiB'\n"
      "[[node]]\ncpus = [1, 3]\nmemory = '512MiB'\nhost_node = 1\n");
  ASSERT_TRUE(good) << good.error().to_string();
  EXPECT_EQ(good->nodes, (std::vector<NodeConfig>{{{0, 2}, 512_MiB, {}}, {{1, 3}, 512_MiB, 1}}));
  expect_error_contains(nodes("[[node]]\ncpus = [0,1,2,3]\nmemory = '512MiB'"),
                        "must add up to it");
  expect_error_contains(nodes("[[node]]\ncpus = [0,1,2,4]\nmemory = '1GiB'"), "node.0.cpus");
  expect_error_contains(nodes("[[node]]\ncpus = [0,1,2]\nmemory = '1GiB'"), "leaves out vCPU 3");
  expect_error_contains(nodes("[[node]]\ncpus = [0,1,2,2,3]\nmemory = '1GiB'"),
                        "node.0.cpus has vCPU 2 twice");
  expect_error_contains(nodes("[[node]]\ncpus = [0,1]\nmemory = '512MiB'\n"
                              "[[node]]\ncpus = [1,2,3]\nmemory = '512MiB'"),
                        "has vCPU 1, which node.0 has already");
  expect_error_contains(nodes("[[node]]\ncpus = [0,1,2,3]"), "node.0.memory is missing");
  expect_error_contains(nodes("[[node]]\ncpus = [0,1,2,3]\nmemory = '1GiB'\nhost_node = -1"),
                        "node.0.host_node");
}

TEST(MachineSection, PinNamesOneProcessorForEach) {
  EXPECT_EQ(parse_bootable("machine = { cpus = 2, pin = [5, 4] }")->machine.pin,
            (std::vector<unsigned>{5, 4}));
  expect_error_contains(parse_bootable("machine = { cpus = 2, pin = [5] }"),
                        "machine.pin has 1 numbers for 2 vCPUs");
  expect_error_contains(parse_bootable("machine = { pin = [-1] }"), "machine.pin");
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

TEST(CpuSection, HypervisorIsShownAsTheUserLikes) {
  const auto cpu = parse_bootable("[cpu]\nhide_hypervisor = true\nhyperv_vendor_id = 'a b'")->cpu;
  EXPECT_TRUE(cpu.hide_hypervisor);
  EXPECT_EQ(cpu.hyperv_vendor_id, "a b");
  EXPECT_FALSE(parse_bootable("cpu.hyperv_vendor_id = 'thirteen char'"));
  EXPECT_FALSE(parse_bootable("cpu.hyperv_vendor_id = 'é'"));
  EXPECT_EQ(parse_bootable("cpu.hyperv = ['relaxed', 'time']")->cpu.hyperv,
            (std::vector<std::string>{"relaxed", "time"}));
  expect_error_contains(parse_bootable("cpu.hyperv = ['a b']"), "cpu.hyperv has \"a b\"");
}

}  // namespace
}  // namespace gpuvm::config_test
