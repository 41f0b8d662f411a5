// SPDX-License-Identifier: Apache-2.0
// configs/ against the code: reference.toml shows every key with its real default, the examples
// parse, and a rendered Config has every key.
#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "tests/fixtures/source_file.hpp"
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::reference_test {
namespace {

std::string config_path(const std::string& name) {
  return test::source_file("configs/" + name);
}

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

const std::regex& key_line() {
  static const std::regex pattern(R"(^(# )?([a-z0-9_]+) = .*$)");
  return pattern;
}

const std::regex& section_line() {
  static const std::regex pattern(R"(^(# )?\[\[?([a-z_]+)\]\]?$)");
  return pattern;
}

/// All keys in a text, commented out or not, as "section.key".
std::set<std::string> keys_in(const std::string& text) {
  std::set<std::string> keys;
  std::istringstream lines(text);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, section_line())) {
      section = match[2].str() + ".";
    } else if (std::regex_match(line, match, key_line())) {
      keys.insert(section + match[2].str());
    }
  }
  return keys;
}

TEST(ConfigKeys, AreThese) {
  EXPECT_EQ(config_keys(), (std::vector<std::string>{"boot.cmdline",
                                                     "boot.decompress",
                                                     "boot.firmware",
                                                     "boot.firmware_log",
                                                     "boot.initrd",
                                                     "boot.kernel",
                                                     "boot.mode",
                                                     "boot.vars",
                                                     "boot.vars_template",
                                                     "cloud_init.meta_data",
                                                     "cloud_init.network_config",
                                                     "cloud_init.user_data",
                                                     "console.serial",
                                                     "console.virtio",
                                                     "control.group",
                                                     "control.socket",
                                                     "cpu.hide",
                                                     "cpu.hide_hypervisor",
                                                     "cpu.hyperv",
                                                     "cpu.hyperv_vendor_id",
                                                     "disk.boot",
                                                     "disk.cache",
                                                     "disk.discard",
                                                     "disk.format",
                                                     "disk.path",
                                                     "disk.queues",
                                                     "disk.readonly",
                                                     "disk.serial",
                                                     "disk.throttle",
                                                     "disk.throwaway",
                                                     "fw_cfg.name",
                                                     "fw_cfg.value",
                                                     "machine.attachable",
                                                     "machine.battery",
                                                     "machine.config_ports",
                                                     "machine.cpus",
                                                     "machine.free_ports",
                                                     "machine.hugepages",
                                                     "machine.memory",
                                                     "machine.on_reboot",
                                                     "machine.pin",
                                                     "machine.pin_memory",
                                                     "machine.reboot_backoff",
                                                     "machine.reserve",
                                                     "machine.rng",
                                                     "machine.scrub",
                                                     "name",
                                                     "net.bridge",
                                                     "net.fd",
                                                     "net.forward",
                                                     "net.host_loopback",
                                                     "net.mac",
                                                     "net.mode",
                                                     "net.mtu",
                                                     "net.queues",
                                                     "net.tap",
                                                     "net.throttle",
                                                     "node.cpus",
                                                     "node.host_node",
                                                     "node.memory",
                                                     "pci.acpi_rom",
                                                     "pci.class",
                                                     "pci.coherent_memory",
                                                     "pci.device_id",
                                                     "pci.functions",
                                                     "pci.gpudirect_clique",
                                                     "pci.host",
                                                     "pci.managed",
                                                     "pci.match",
                                                     "pci.msix_relocation",
                                                     "pci.p2p",
                                                     "pci.port",
                                                     "pci.quirks",
                                                     "pci.reset",
                                                     "pci.reset_wait",
                                                     "pci.resize_bar",
                                                     "pci.rom",
                                                     "pci.rom_check",
                                                     "pci.scrub",
                                                     "pci.scrub_bars",
                                                     "pci.scrub_limit",
                                                     "pci.socket",
                                                     "pci.sub_device_id",
                                                     "pci.sub_vendor_id",
                                                     "pci.vendor_id",
                                                     "pci.vf_token",
                                                     "pci.writable",
                                                     "sandbox.group",
                                                     "sandbox.helper_user",
                                                     "sandbox.log",
                                                     "sandbox.mode",
                                                     "sandbox.owner",
                                                     "sandbox.user",
                                                     "share.path",
                                                     "share.readonly",
                                                     "share.tag",
                                                     "ssh_key",
                                                     "systemd.machined",
                                                     "systemd.ready",
                                                     "test.artifact_share",
                                                     "test.command",
                                                     "test.console_timeout",
                                                     "test.exit_port",
                                                     "test.failure_pattern",
                                                     "test.first_console_timeout",
                                                     "test.notify",
                                                     "test.pvpanic",
                                                     "test.reboots",
                                                     "test.result_file",
                                                     "test.retries",
                                                     "test.status_port",
                                                     "test.success_pattern",
                                                     "test.timeout",
                                                     "test.vsock_status",
                                                     "vsock.cid"}));
}

TEST(Reference, HasEveryKeyAndNoOther) {
  const auto keys = config_keys();
  EXPECT_EQ(keys_in(read_text(config_path("reference.toml"))),
            std::set<std::string>(keys.begin(), keys.end()));
}

TEST(Reference, ShowsTheDefaults) {
  const std::vector<std::string> overrides = {"boot.kernel=/k"};
  const auto config = load_config(config_path("reference.toml"), overrides);
  ASSERT_TRUE(config) << config.error().to_string();
  Config expected;
  expected.name = "reference";
  expected.boot.kernel = "/k";
  EXPECT_EQ(*config, expected);
}

TEST(Reference, SetsEveryKeyThatHasADefault) {
  const auto text = read_text(config_path("reference.toml"));
  for (const char* line : {"\ncpus = ", "\nmemory = ", "\nhugepages = ", "\non_reboot = ",
                           "\nhide = ", "\nmode = ", "\ncmdline = ", "\nserial = "}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
}

/// The text with all keys and sections that are commented out.
std::string uncommented(const std::string& name) {
  std::istringstream lines(read_text(config_path(name)));
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const bool is_toml =
        std::regex_match(line, key_line()) || std::regex_match(line, section_line());
    text += (is_toml && line.starts_with("# ") ? line.substr(2) : line) + "\n";
  }
  return text;
}

TEST(Reference, CommentedKeysAreValidToo) {
  // Which some keys need.
  const std::vector<std::string> overrides = {"boot.mode=uefi", "sandbox.mode=log",
                                              "pci.0.scrub=vram"};
  auto config = parse(uncommented("reference.toml"), overrides);
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->name, "reference");
  ASSERT_EQ(config->pci.size(), 3U);
  EXPECT_EQ(config->pci[1].socket, "/run/gpu.sock");
  ASSERT_EQ(config->pci[2].match.size(), 1U);
  EXPECT_TRUE(config->pci[2].match[0].any_gpu);
  // Ids and a clique have no default; what is shown is an example.
  EXPECT_EQ(config->pci[0].identity.class_code, 0x030000U);
  EXPECT_EQ(config->pci[0].gpudirect_clique, 0);
  config->pci[0].identity = {};
  config->pci[0].gpudirect_clique.reset();
  EXPECT_EQ(config->pci[0].vf_token.size(), 36U);
  config->pci[0].vf_token.clear();
  EXPECT_EQ(config->pci[0].scrub_bars, std::vector<std::uint8_t>{1});
  config->pci[0].scrub_bars.clear();
  config->pci[0].scrub = PciScrub::kOff;
  EXPECT_EQ(config->pci[0].coherent_memory->bar, 2U);
  config->pci[0].coherent_memory.reset();
  EXPECT_EQ(config->nodes, (std::vector<NodeConfig>{{{0}, 1_GiB, 0}}));
  // The optional keys of [[pci]] show their defaults; those of port and reset_wait depend on the
  // device.
  PciConfig expected;
  expected.host = Bdf{0, 1, 0, 0};
  expected.reset_wait = 100;
  expected.port = 0;
  EXPECT_EQ(config->pci[0], expected);
  ASSERT_EQ(config->disks.size(), 1U);
  EXPECT_EQ(config->disks[0], (DiskConfig{.path = "/guests/disk.img",
                                          .serial = "root",
                                          .queues = 4,
                                          .throttle = {.iops = 1000, .bandwidth = 100_MiB}}));
  ASSERT_EQ(config->nets.size(), 3U);
  EXPECT_EQ(config->nets[0].mode, NetMode::kUser);
  EXPECT_EQ(config->nets[1].bridge, "br0");
  EXPECT_EQ(config->nets[2].fd, 3);
}

TEST(Examples, GpuLinux) {
  const auto config = load_config(config_path("gpu-linux.toml"));
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->pci.size(), 2U);
  EXPECT_EQ(config->boot.kernel, config_path("vmlinuz"));
}

TEST(Examples, ComputeNode) {
  const auto config = load_config(config_path("compute-node.toml"));
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->boot.mode, BootMode::kLinux);
  EXPECT_EQ(config->pci.size(), 1U);
  ASSERT_EQ(config->disks.size(), 1U);
  EXPECT_EQ(config->disks[0].path, config_path("node.img"));
  ASSERT_EQ(config->nets.size(), 1U);
  EXPECT_EQ(config->nets[0].mode, NetMode::kUser);
  EXPECT_EQ(config->ssh_key, SshKeyConfig{});
}

// Those that need something of the user's.
TEST(Examples, NodesHaveSectionsToUncomment) {
  for (const char* name : {"compute-node.toml", "render-node.toml"}) {
    const auto config = parse(uncommented(name));
    ASSERT_TRUE(config) << name << ": " << config.error().to_string();
    EXPECT_EQ(config->ssh_key, SshKeyConfig{}) << name;
    ASSERT_EQ(config->shares.size(), 1U) << name;
    EXPECT_EQ(config->shares[0].tag, "work");
    ASSERT_TRUE(config->cloud_init) << name;
    EXPECT_EQ(config->cloud_init->user_data, "/guests/user-data.yaml");
    const bool has_port = !config->nets[0].forward.empty();
    EXPECT_TRUE(config->vsock || has_port) << name << ": gpuvm ssh has no way in";
  }
}

TEST(Examples, CiRunner) {
  const auto config = load_config(config_path("ci-runner.toml"));
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_TRUE(config->test.pvpanic);
  EXPECT_EQ(config->test.timeout, std::chrono::minutes(30));
  EXPECT_EQ(config->test.failure_pattern.size(), 3U);
  ASSERT_EQ(config->disks.size(), 1U);
  EXPECT_TRUE(config->disks[0].throwaway);
}

TEST(Examples, RenderNode) {
  const auto config = load_config(config_path("render-node.toml"));
  ASSERT_TRUE(config) << config.error().to_string();
  EXPECT_EQ(config->boot.mode, BootMode::kUefi);
  EXPECT_EQ(config->boot.kernel, "");
  EXPECT_EQ(config->pci.size(), 2U);
  ASSERT_EQ(config->nets.size(), 1U);
  EXPECT_EQ(config->nets[0].bridge, "br0");
}

TEST(ToToml, NamesEveryKey) {
  auto config = *parse_bootable(
      "[[pci]]\nhost = '01:00.0'\n[[pci]]\nsocket = 's'\n[[pci]]\nmatch = 'any-gpu'\n"
      "[[disk]]\npath = '/d'\n");
  config.boot.initrd = "/i";
  config.boot.mode = BootMode::kUefi;
  config.boot.vars = "/v";
  config.pci.front().reset_wait = 5;
  config.pci.front().port = 5;
  config.boot.firmware = "/f";
  config.boot.vars_template = "/t";
  config.boot.firmware_log = "/l";
  config.fw_cfg = {{.name = "opt/a", .text = "b", .file = {}},
                   {.name = "opt/c", .text = {}, .file = "/d"}};
  config.pci[0].identity = {1, 2, 3, 4, 5};
  config.disks[0].serial = "s";
  config.disks[0].queues = 2;
  config.disks[0].throttle.iops = 5;
  config.pci[0].gpudirect_clique = 3;
  config.pci[0].writable.dvsec = true;
  config.pci[0].scrub = PciScrub::kVram;
  config.pci[0].scrub_bars = {1, 3};
  config.pci[0].vf_token = "14d63f20-8445-11ea-8900-1f9ce7d5650d";
  config.pci[0].coherent_memory = PciCoherentMemory{.bar = 1, .at_host_address = true};
  config.nodes = {{{0}, 1_GiB, 3}};
  config.nets.resize(3);
  config.nets[0].mac = MacAddress{{2, 0, 0, 0, 0, 1}};
  config.nets[0].mtu = 1400;
  config.nets[0].throttle.packets = 5;
  config.nets[1].mode = NetMode::kTap;
  config.nets[1].tap = "vm0";
  config.nets[1].bridge = "br0";
  config.nets[1].queues = 2;
  config.nets[2].mode = NetMode::kTap;
  config.nets[2].fd = 3;
  config.credentials = {{.name = "a.b", .text = {}, .file = "/c"}};
  config.cloud_init = CloudInitConfig{.user_data = "/u", .meta_data = "/m", .network_config = "/n"};
  config.ssh_key = SshKeyConfig{};
  config.console.serial.clear();
  config.control.group = "kvm";
  config.vsock = VsockConfig{};
  config.shares = {{.path = "/s", .tag = "t", .read_only = false}};
  config.control.group = "gpuvm";
  config.test.result_file = ResultFileConfig{.tag = "t", .path = "p"};
  config.test.artifact_share = "t";
  config.sandbox = {
      .mode = SandboxMode::kLog, .user = "u", .group = "g", .log = "/l", .helper_user = "h"};
  const auto text = to_toml(config);
  const auto keys = config_keys();
  EXPECT_EQ(keys_in(text), std::set<std::string>(keys.begin(), keys.end())) << text;
  const auto again = parse(text);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(*again, config);
}

}  // namespace
}  // namespace gpuvm::reference_test
