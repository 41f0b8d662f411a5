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
  for (const auto& refused :
       {std::string(65, 'a'), std::string(), std::string("Upper"), std::string("a/b"),
        std::string("a b"), std::string("é"), std::string("."), std::string(".."),
        std::string("-x"), std::string(".x"), std::string("_x")}) {
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
               "console.serial has \"off\" beside other places: it stands alone, as [\"off\"] "
               "(guest.toml:2:18)");
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
