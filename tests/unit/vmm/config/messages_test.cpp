// SPDX-License-Identifier: Apache-2.0
// Messages name the thing, the place and the cure.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::messages_test {
namespace {

Result<Config> parse_pci(const std::string& keys) {
  return parse_bootable("[[pci]]\nhost = '01:00.0'\n" + keys);
}

TEST(Messages, ANumberInAListIsToldByItself) {
  expect_error(parse_pci("functions = [0, 8]"),
               "pci.0.functions has 8: each number must be from 0 to 7 (guest.toml:4:17)");
  expect_error(parse_bootable("machine.pin = [-1]"),
               "machine.pin has -1: each number must be from 0 to 8191 (guest.toml:2:16)");
  expect_error(parse_bootable("[[node]]\nmemory = '1GiB'\ncpus = [\n0,\n1]"),
               "node.0.cpus has 1: each number must be 0 (guest.toml:6:1)");
  expect_error(parse_bootable("", {"machine.pin=[-1]"}),
               "machine.pin has -1: each number must be from 0 to 8191 (--set machine.pin=[-1])");
  expect_error(parse_bootable("machine.pin = ['1']"),
               "machine.pin must be a list of the host's CPUs, one for each vCPU, not a list with "
               "a string (guest.toml:2:15)");
}

TEST(Messages, AValueOfAnotherKindIsToldHowToWriteIt) {
  const std::pair<const char*, const char*> rows[] = {
      {"test.exit_port = 'yes'",
       "test.exit_port must be true or false, not \"yes\" "
       "(guest.toml:2:18); write true, without quotes"},
      {"test.exit_port = 'False'", "not \"False\" (guest.toml:2:18); write false, without quotes"},
      {"test.exit_port = 1", "not an integer (guest.toml:2:18); write true, without quotes"},
      {"machine.cpus = '4'", "not a string (guest.toml:2:16); write 4, without quotes"},
      {"console.serial = 'stdio'",
       "must be a list of strings, not a string (guest.toml:2:18); "
       "write [\"stdio\"]"},
      {"net = [ { forward = 'tcp:2222:22' } ]", "; write [\"tcp:2222:22\"]"},
  };
  for (const auto& [text, message] : rows) {
    expect_error_contains(parse_bootable(text), message);
  }
  expect_error(parse_bootable("test.exit_port = 'cow'"),
               "test.exit_port must be true or false, not \"cow\" (guest.toml:2:18)");
  for (const char* value : {"'0'", "'256'", "'4 '", "'x'", "4.0"}) {
    const auto result = parse_bootable(std::string("machine.cpus = ") + value);
    ASSERT_FALSE(result) << value;
    EXPECT_EQ(result.error().to_string().find("without quotes"), std::string::npos) << value;
  }
}

// A shell would have changed them, and TOML does not.
TEST(Messages, PathsAreTakenAsTheyAre) {
  const std::string uefi = "boot = { mode = 'uefi', firmware = 'c', vars = 'v' }\n";
  for (const char* path : {"~", "~/x", "~me/x"}) {
    const auto told = std::string("begins with \"~\"");
    expect_error_contains(parse("boot.kernel = '" + std::string(path) + "'"),
                          "boot.kernel " + told);
    expect_error_contains(parse_bootable("console.serial = ['file:" + std::string(path) + "']"),
                          "console.serial " + told);
    expect_error_contains(
        parse(uefi + "[[fw_cfg]]\nname = 'opt/a'\nvalue = 'file:" + std::string(path) + "'"),
        "fw_cfg.0.value " + told);
  }
  expect_error(
      parse_bootable("[[disk]]\npath = '$HOME/x'"),
      "disk.0.path begins with \"$\", and nothing is put in for variables here: write it out "
      "(\"./$…\" is a file of that name) (guest.toml:3:8)");
  EXPECT_EQ(parse_bootable("[[disk]]\npath = './~/x'")->disks[0].path, "/guests/./~/x");
  EXPECT_EQ(parse_bootable("[[disk]]\npath = '~x'")->disks[0].path, "/guests/~x");
  EXPECT_EQ(parse_bootable("[[disk]]\npath = 'a$b'")->disks[0].path, "/guests/a$b");
}

TEST(Messages, ATableOfAListEntryHasNoHeaderToName) {
  expect_error(parse_pci("coherent_memory = true"),
               "pci.0.coherent_memory must be a table such as { bar = 2 }, not a boolean "
               "(guest.toml:4:19)");
  expect_error(parse_pci("[pci.0.coherent_memory]\nbar = 2"),
               "Unknown key pci.0.0 (guest.toml:4:6); a file does not number its [[pci]]: write "
               "[pci.KEY]");
  EXPECT_TRUE(parse_pci("[pci.coherent_memory]\nbar = 2"));
  expect_error_contains(parse_pci("\"\" = 2"), "Unknown key pci.0. (guest.toml:4:1)");
}

TEST(Messages, CoherentMemoryIsABarOrARegion) {
  expect_error(parse_pci("coherent_memory = { bar = 2, region = 'nvlink2-ram' }"),
               "pci.0.coherent_memory has both bar and region: keep one (guest.toml:4:19)");
  expect_error_contains(parse_pci("coherent_memory = {}"), "must name what is memory");
}

// What the start would refuse whatever the host is.
TEST(Messages, APortHasRoomForEightFunctions) {
  std::string text = "[[pci]]\nhost = '01:00.0'\nport = 3\nfunctions = [0, 1, 2, 3, 4, 5, 6]\n";
  text += "[[pci]]\nsocket = '/a'\nport = 3\n";
  EXPECT_TRUE(parse_bootable(text));
  text += "[[pci]]\nhost = '02:00.0'\nport = 4\n";
  EXPECT_TRUE(parse_bootable(text));
  expect_error_contains(parse_bootable(text + "[[pci]]\nhost = '03:00.0'\nport = 3"),
                        "pci.3.port 3 has 9 functions by now, and a port has room for 8");
}

TEST(Messages, OneSlotHasOneHotReset) {
  const auto two = [](const std::string& first, const std::string& second) {
    return parse_bootable("[[pci]]\nhost = '01:00.0'\nfunctions = [0]\nreset = '" + first +
                          "'\n[[pci]]\nhost = '01:00.1'\nfunctions = [1]\nreset = '" + second +
                          "'");
  };
  expect_error_contains(two("hot", "function"), "pci.1.reset is not that of pci.0");
  expect_error_contains(two("none", "hot"), "pci.1.reset is not that of pci.0");
  EXPECT_TRUE(two("hot", "hot"));
  EXPECT_TRUE(two("hot", "auto"));
  EXPECT_TRUE(two("function", "none")) << "on a root bus there is no hot reset";
}

TEST(Messages, ASizeIsToldWhateverWasGiven) {
  const std::string rule =
      "memory must be a size from \"128MiB\" to \"16TiB\" such as \"512MiB\" or \"4GiB\", not an "
      "integer ";
  const std::string cure = "; did you mean \"4096MiB\"?";
  expect_error(parse_bootable("machine.memory = 4096"),
               "machine." + rule + "(guest.toml:2:18)" + cure);
  expect_error(parse_bootable("[[node]]\ncpus = [0]\nmemory = 4096"),
               "node.0." + rule + "(guest.toml:4:10)" + cure);
}

TEST(Messages, OtherStringsTellTheirRuleToo) {
  expect_error_contains(parse_bootable("[[pci]]\nhost = 1"),
                        "must be a PCI address such as \"0000:01:00.0\" (see lspci -D), not an");
  expect_error_contains(parse_pci("rom = false"),
                        "must be \"auto\", \"off\" or the path of a file, not a boolean");
  expect_error_contains(parse_bootable("cpu.hyperv_vendor_id = true"),
                        "must be at most 12 printable ASCII characters, not a boolean");
}

TEST(Messages, IdsAreHexadecimal) {
  expect_error(parse_pci("vendor_id = '10de'"),
               "pci.0.vendor_id must be an integer from 0x0 to 0xfffe, such as 0x10de, not a "
               "string (guest.toml:4:13)");
  expect_error(parse_pci("vendor_id = 0xffff"),
               "pci.0.vendor_id must be an integer from 0x0 to 0xfffe, such as 0x10de, not 0xffff "
               "(guest.toml:4:13)");
  expect_error_contains(parse_pci("device_id = -1"),
                        "from 0x0 to 0xffff, such as 0x2204, not -0x1");
  expect_error_contains(parse_pci("sub_vendor_id = ''"), "from 0x0 to 0xffff, such as 0x10de");
  expect_error_contains(parse_pci("sub_device_id = ''"), "from 0x0 to 0xffff, such as 0x1454");
  expect_error_contains(parse_pci("class = ''"), "from 0x0 to 0xffffff, such as 0x030000");
  expect_error_contains(parse_pci("gpudirect_clique = 16"), "an integer from 0 to 15, not 16");
}

TEST(Messages, TextNeedsQuotes) {
  expect_error(parse("[boot]\nkernel = /boot/vmlinuz\n"),
               "guest.toml:2:10: Error while parsing value: could not determine value type; text "
               "needs quotes");
  for (const char* value : {"4GiB", "01:00.0", "0000:01:00.0", "10de", "./x", "[stdio]", "uefi"}) {
    expect_error_contains(parse(std::string("name = ") + value + "\n"), "; text needs quotes");
  }
  for (const char* value : {"True", "test.img", "false_name"}) {
    const auto result = parse(std::string("name = ") + value + "\n");
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().to_string().find("text needs quotes"), std::string::npos)
        << result.error().to_string();
  }
  // What has another cure.
  for (const char* text : {"a = 007\n", "a = \n", "a 1\n", "a = 1 2\n", "[a\n", "a = 1\na = 2\n"}) {
    const auto result = parse(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().to_string().find("quotes"), std::string::npos)
        << result.error().to_string();
  }
}

TEST(Messages, GuestsOfOtherMonitorsAreKnown) {
  for (const char* text :
       {"<domain type='kvm'>\n</domain>\n", "\n  <domain>", "#!/bin/sh\nset -e\n",
        "# mine\nqemu-system-x86_64 -m 1G\n", "/usr/bin/kvm \\\n -m 1G\n"}) {
    const auto result = parse(text);
    ASSERT_FALSE(result) << text;
    EXPECT_NE(result.error().to_string().find("`gpuvm convert` makes"), std::string::npos)
        << result.error().to_string();
  }
  const auto ours = parse("# of qemu-system-x86_64 -m 1G\n[machine]\ncpus = \n");
  ASSERT_FALSE(ours);
  EXPECT_EQ(ours.error().to_string().find("gpuvm convert"), std::string::npos);
}

TEST(Messages, AMissingClosingQuoteIsNoControlCharacter) {
  for (const char* text : {"kernel = \"/boot/vmlinuz\nx = 1\n", "kernel = '/boot/vmlinuz\nx = 1\n",
                           "kernel = \"/boot/vmlinuz\r\nx = 1\n", "kernel = '/böot/vmlinuz\n"}) {
    expect_error(parse(text), "guest.toml:1:24: the string has no closing quote on its line");
  }
  expect_error(parse("# é\n\nserial = [\"a\", \"b]\n"),
               "guest.toml:3:19: the string has no closing quote on its line");
  expect_error(parse("a = \"x"), "guest.toml:1:7: the string has no closing quote");
  expect_error(parse("a = '''x\n"), "guest.toml:1:10: the string has no closing quote");
}

TEST(Messages, AControlCharacterIsNoMissingQuote) {
  for (const char* text : {"a = \"x\x01y\"\n", "a = 'x\x01\n", "a = 'é\x7f'\n", "# \x01\n"}) {
    expect_error_contains(parse(text), "control characters other than TAB");
  }
}

TEST(Messages, FwCfgItemsLackNameOrValue) {
  const std::string uefi = "boot = { mode = 'uefi', firmware = 'c', vars = 'v' }\n[[fw_cfg]]\n";
  expect_error(parse(uefi + "name = 'opt/a'"),
               "fw_cfg.0.value is missing: give \"string:TEXT\" or \"file:PATH\" (guest.toml:2:1)");
  expect_error_contains(parse(uefi + "value = 'string:'"),
                        "fw_cfg.0.name is missing: give \"opt/\" and up to 51");
  expect_error_contains(parse(uefi + "name = 'opt/a'\nvalue = ''"),
                        "fw_cfg.0.value must be \"string:TEXT\" or \"file:PATH\", not \"\"");
}

TEST(Messages, ABootDiskIsToldAtItsOwnLine) {
  expect_error(parse_bootable("[[disk]]\npath = 'a'\n[[disk]]\npath = 'b'\nboot = true"),
               "disk.1.boot needs a boot.mode that starts from disks, not one that starts a kernel "
               "file; remove it (guest.toml:6:8)");
}

TEST(Messages, OnePathIsGivenOnceHoweverItIsWritten) {
  for (const char* again : {"./x", "/guests/x", "../guests/x", ".//x", "y/../x"}) {
    expect_error_contains(
        parse_bootable(std::string("[[disk]]\npath = 'x'\n[[disk]]\npath = '") + again + "'"),
        "disk.1.path is already given by disk.0 (guest.toml:5:8)");
  }
  EXPECT_TRUE(parse_bootable("[[disk]]\npath = 'x'\n[[disk]]\npath = 'y/x'"));
  EXPECT_EQ(parse_bootable("[[disk]]\npath = './x'")->disks[0].path, "/guests/./x");
  expect_error_contains(parse_bootable("[[pci]]\nsocket = 's'\n[[pci]]\nsocket = './s'"),
                        "pci.1.socket /guests/./s is already given by pci.0");
  EXPECT_TRUE(parse_bootable("[[pci]]\nsocket = 's'\n[[pci]]\nsocket = 't'"));
  expect_error_contains(parse_bootable("console.serial = ['file:x', 'file:./x']"),
                        "names \"file:./x\" twice");
  EXPECT_TRUE(parse_bootable("console.serial = ['file:x', 'socket:y', 'file:z']"));
}

TEST(Messages, ASocketHasAPathThatLinuxTakes) {
  // unix(7): sun_path has 108 bytes with its NUL.
  const std::string longest = "/" + std::string(106, 's');
  EXPECT_TRUE(parse_bootable("[[pci]]\nsocket = '" + longest + "'"));
  expect_error_contains(
      parse_bootable("[[pci]]\nsocket = '" + longest + "s'"),
      "pci.0.socket has a socket path of 108 bytes; Linux takes at most 107 (guest.toml:3:10)");
}

}  // namespace
}  // namespace gpuvm::messages_test
