// SPDX-License-Identifier: Apache-2.0
// What an unknown key is answered with: a near name, the same name elsewhere, or what another
// program's name is called here.
#include <fmt/format.h>

#include <algorithm>
#include <regex>
#include <set>
#include <tuple>

#include "tests/unit/vmm/config/config_test_support.hpp"
#include "vmm/config/foreign_names.hpp"

namespace gpuvm::suggestion_test {
namespace {

const std::set<std::string> kSections = {
    "[machine]", "[cpu]",      "[boot]",  "[console]", "[[pci]]", "[[node]]",      "[[disk]]",
    "[[net]]",   "[[fw_cfg]]", "[vsock]", "[[share]]", "[test]",  "[credentials]", "[cloud_init]"};

bool is_known(const std::string& name) {
  const auto keys = config_keys();
  return kSections.contains(name) || std::find(keys.begin(), keys.end(), name) != keys.end();
}

/// What follows the place in the message on `key` below `header`.
std::string advice(const std::string& header, const std::string& key) {
  const auto text = header + "\n\"" + key + "\" = 1";
  const auto result = header == "[boot]" ? parse(text) : parse_bootable(text);
  if (result) {
    return "no error";
  }
  const auto message = result.error().to_string();
  const auto end = message.find(')');
  EXPECT_TRUE(message.starts_with("Unknown key ") && end != std::string::npos) << message;
  return message.substr(end + 1);
}

TEST(Suggestion, UnknownKeysAreErrorsWithAGuess) {
  expect_error(parse("[boot]\nkernal = '/k'"),
               "Unknown key boot.kernal (guest.toml:2:1); did you mean kernel?");
  expect_error(parse_bootable("[machien]\ncpus = 1"),
               "Unknown key machien (guest.toml:2:2); did you mean [machine]?");
  expect_error(parse_bootable("[[pci]]\nhost = '01:00.0'\nmanage = true"),
               "Unknown key pci.0.manage (guest.toml:4:1); did you mean managed?");
  expect_error(parse_bootable("[cpu]\nsomething_else_entirely = 1"),
               "Unknown key cpu.something_else_entirely (guest.toml:3:1)");
  expect_error_contains(parse_bootable("\"a\\nb\\u0000\" = 1"), "Unknown key a?b?");
}

TEST(Suggestion, SectionsAreToldWithTheirBrackets) {
  EXPECT_EQ(advice("", "Net"), "; did you mean [[net]]?");
  EXPECT_EQ(advice("", "nets"), "; did you mean [[net]]?");
  EXPECT_EQ(advice("", "PCI"), "; did you mean [[pci]]?");
  EXPECT_EQ(advice("", "Machine"), "; did you mean [machine]?");
  EXPECT_EQ(advice("", "nmae"), "; did you mean name?");
  EXPECT_EQ(advice("[boot]", "net"), "; did you mean [[net]]?");
}

// One name may mean something else in each section.
TEST(Suggestion, TheSectionDecidesWhatIsMeant) {
  EXPECT_EQ(advice("[[disk]]", "backing").find("; a qcow2 image says itself"), 0U);
  EXPECT_EQ(advice("[machine]", "backing"), "; did you mean hugepages?");
  EXPECT_EQ(advice("[[pci]]", "timeout"), "; did you mean reset_wait?");
  EXPECT_EQ(advice("[machine]", "timeout").find("; test.timeout is the limit of `gpuvm test`"), 0U);
  EXPECT_EQ(advice("[boot]", "timeout").find("; gpuvm waits for nobody at the start"), 0U);
  EXPECT_EQ(advice("[[disk]]", "timeout"), "; did you mean test.timeout?");
  EXPECT_EQ(advice("[console]", "backing"), "");
}

TEST(Suggestion, NamesOfQemuAndLibvirt) {
  EXPECT_EQ(advice("[[pci]]", "reset_method"), "; did you mean reset?");
  EXPECT_EQ(advice("[[pci]]", "x-no-mmap").find("; gpuvm maps the BARs"), 0U);
  for (const char* key : {"sriov", "num_vfs", "sriov_numvfs"}) {
    EXPECT_EQ(advice("[[pci]]", key).find("; virtual functions are made on the host"), 0U) << key;
  }
  EXPECT_EQ(advice("[machine]", "on_crash").find("; test.pvpanic = true ends the run"), 0U);
  EXPECT_EQ(advice("[machine]", "on_poweroff").find("; a guest that powers off ends"), 0U);
}

TEST(Suggestion, ForeignNamesOfKeys) {
  EXPECT_EQ(advice("[machine]", "mem"), "; did you mean memory?");
  EXPECT_EQ(advice("[machine]", "smp"), "; did you mean cpus?");
  EXPECT_EQ(advice("[boot]", "append"), "; did you mean cmdline?");
  EXPECT_EQ(advice("[boot]", "initramfs"), "; did you mean initrd?");
  EXPECT_EQ(advice("[cpu]", "hidden"), "; did you mean hide_hypervisor?");
  EXPECT_EQ(advice("[cpu]", "vendor_id"), "; did you mean hyperv_vendor_id?");
  EXPECT_EQ(advice("[cpu]", "cores"), "; did you mean machine.cpus?");
  for (const char* key : {"romfile", "rom_file", "rombar"}) {
    EXPECT_EQ(advice("[[pci]]", key), "; did you mean rom?");
  }
  for (const char* key : {"device", "bdf", "address", "addr"}) {
    EXPECT_EQ(advice("[[pci]]", key), "; did you mean host?");
  }
  EXPECT_EQ(advice("[[pci]]", "path"), "; did you mean host or socket?");
  EXPECT_EQ(advice("[[pci]]", "x-pci-sub-vendor-id"), "; did you mean sub_vendor_id?");
  EXPECT_EQ(advice("[[disk]]", "file"), "; did you mean path?");
  EXPECT_EQ(advice("[[disk]]", "source"), "; did you mean path?");
}

TEST(Suggestion, ForeignNamesOfSections) {
  for (const char* name : {"gpu", "hostdev", "device", "vfio"}) {
    EXPECT_EQ(advice("", name), "; did you mean [[pci]]?");
  }
  expect_error(parse_bootable("[[gpu]]\nhost = '01:00.0'"),
               "Unknown key gpu (guest.toml:2:3); did you mean [[pci]]?");
  EXPECT_EQ(advice("", "drive"), "; did you mean [[disk]]?");
  EXPECT_EQ(advice("", "filesystem"), "; did you mean [[share]]?");
  EXPECT_EQ(advice("[vsock]", "guest_cid"), "; did you mean cid?");
  EXPECT_EQ(advice("", "rng"), "; did you mean machine.rng?");
}

// What maps from Proxmox, QEMU and CI runners bring along.
TEST(Suggestion, WhatOtherMonitorsHave) {
  const std::pair<const char*, const char*> rows[] = {
      {"cloudinit", "[cloud_init]"},
      {"mdev", "SR-IOV"},
      {"iommufd", "remove this key"},
      {"x_igd_opregion", "OpRegion"},
      {"x-vga", "legacy VGA"},
      {"x-igd-opregion", "OpRegion"},
      {"backing_files", "a qcow2 image says itself"},
  };
  for (const auto& [key, word] : rows) {
    for (const char* header : {"", "[machine]", "[[pci]]", "[[disk]]"}) {
      EXPECT_NE(advice(header, key).find(word), std::string::npos) << header << " " << key;
    }
  }
}

// Keys of qm.conf(5) at the top of a file.
TEST(Suggestion, WhatGuestsOfProxmoxHave) {
  const std::pair<const char*, const char*> rows[] = {
      {"ostype", "runs Linux"},
      {"onboot", "systemctl enable"},
      {"agent", "gpuvm ssh"},
      {"tpmstate0", "no TPM"},
      {"tablet", "USB controller"},
      {"usb0", "controller"},
      {"ciuser", "cloud_init.user_data"},
      {"ipconfig0", "network_config"},
      {"smbios1", "SMBIOS"},
      {"scsihw", "virtio"},
      {"backing", "qcow2 image says"},
      {"hotplug", "gpuvm attach"},
  };
  for (const auto& [key, word] : rows) {
    EXPECT_NE(advice("", key).find(word), std::string::npos) << key << advice("", key);
  }
  for (const char* key : {"hostpci0", "hostpci1"}) {
    EXPECT_EQ(advice("", key), "; did you mean [[pci]]?");
  }
  EXPECT_EQ(advice("", "ide2"), "; did you mean [[disk]]?");
  EXPECT_EQ(advice("", "net1"), "; did you mean [[net]]?");
  EXPECT_NE(advice("[[pci]]", "legacy-igd").find("OpRegion"), std::string::npos);
}

TEST(Suggestion, NamesOfChannels) {
  EXPECT_EQ(advice("", "isa-debug-exit"), "; did you mean test.exit_port?");
  EXPECT_EQ(advice("", "virtserialport"), "; did you mean test.status_port?");
  EXPECT_EQ(advice("[test]", "isa_debug_exit"), "; did you mean exit_port?");
  EXPECT_EQ(advice("[test]", "vsock"), "; did you mean vsock_status?");
  EXPECT_EQ(advice("[test]", "notify_socket"), "; did you mean notify?");
}

TEST(Suggestion, NamesOfNetworks) {
  for (const char* name : {"networks", "interfaces", "net0", "passt"}) {
    EXPECT_EQ(advice("", name), "; did you mean [[net]]?") << name;
  }
  EXPECT_EQ(advice("[[net]]", "host_mtu"), "; did you mean mtu?");
  EXPECT_EQ(advice("[[net]]", "num-queues"), "; did you mean queues?");
  EXPECT_EQ(advice("[[net]]", "name"), "; did you mean tap?");
  EXPECT_EQ(advice("[[net]]", "port_forward"), "; did you mean forward?");
  const std::pair<const char*, const char*> rows[] = {
      {"vhost", "vhost-net"},     {"script", "runs no scripts"}, {"ip", "DHCP"},
      {"vlan", "the host's tap"}, {"socket", "no vhost-user"},   {"id", "no name"},
  };
  for (const auto& [key, words] : rows) {
    EXPECT_NE(advice("[[net]]", key).find(words), std::string::npos) << key;
  }
  EXPECT_NE(advice("[[pci]]", "mac").find("set on the host"), std::string::npos);
}

// What is asked of disks, shares, vsock, random numbers and consoles elsewhere.
TEST(Suggestion, KeysThatHaveAnotherName) {
  const std::tuple<const char*, const char*, const char*> rows[] = {
      {"[[disk]]", "ephemeral", "throwaway"},
      {"[[disk]]", "path_on_host", "path"},
      {"[[disk]]", "is_read_only", "readonly"},
      {"[[disk]]", "rate_limiter", "throttle"},
      {"[[disk]]", "sparse", "discard"},
      {"[[net]]", "mq", "queues"},
      {"[[net]]", "guest_mac", "mac"},
      {"[[net]]", "publish", "forward"},
      {"[[share]]", "name", "tag"},
      {"[[share]]", "directory", "path"},
      {"[vsock]", "address", "cid"},
      {"[console]", "hvc0", "virtio"},
      {"[machine]", "entropy", "rng"},
      {"[test]", "panic", "pvpanic"},
      {"", "9p", "[[share]]"},
      {"", "filesystem", "[[share]]"},
      {"", "volumes", "[[share]]"},
      {"", "panic", "test.pvpanic"},
      {"", "virtio-serial", "console.virtio"},
      {"", "vhost-vsock", "[vsock]"},
      {"", "boot-source", "[boot]"},
      {"", "machine-config", "[machine]"},
      {"", "vcpu_count", "machine.cpus"},
      {"", "ssh", "ssh_key"},
      {"", "sshkeys", "ssh_key"},
      {"[machine]", "gpu", "[[pci]]"},
  };
  for (const auto& [header, key, meant] : rows) {
    EXPECT_EQ(advice(header, key), fmt::format("; did you mean {}?", meant)) << header << key;
  }
  expect_error_contains(parse_bootable("[[9p]]\npath = '/x'"), "; did you mean [[share]]?");
}

TEST(Suggestion, ThingsThatNeedNoKey) {
  const std::tuple<const char*, const char*, const char*> rows[] = {
      {"[[disk]]", "size", "a disk has the size of its file"},
      {"[[disk]]", "iothread", "has a thread of its own"},
      {"[machine]", "iothreads", "has a thread of its own"},
      {"[[disk]]", "werror", "reach the guest as I/O errors"},
      {"[[share]]", "cache", "gpuvm starts virtiofsd itself"},
      {"[[share]]", "mount", "mount -t virtiofs TAG"},
      {"[[share]]", "security_model", "owners and permissions"},
      {"[vsock]", "port", "belong to the programs"},
      {"[vsock]", "uds_path", "AF_VSOCK"},
      {"", "include", "a guest has one file"},
      {"[cpu]", "nested", "cannot run guests"},
      {"", "smbios", "[credentials]"},
      {"", "sysinfo", "[credentials]"},
      {"", "uuid", "[credentials]"},
      {"[[net]]", "dhcp", "answers its DHCP"},
  };
  for (const auto& [header, key, words] : rows) {
    EXPECT_NE(advice(header, key).find(words), std::string::npos) << header << " " << key;
  }
  EXPECT_EQ(advice("[[pci]]", "uuid"), "; did you mean vf_token?");
}

TEST(Suggestion, OptionsAreNoKeys) {
  for (const char* key : {"events", "log-file", "inspect_file"}) {
    EXPECT_EQ(advice("", key).find("; this is an option of the command"), 0U) << key;
  }
}

TEST(Suggestion, WhatGpuvmDoesNotHave) {
  for (const char* name : {"netdev", "network", "nic", "interface"}) {
    EXPECT_EQ(advice("", name), "; did you mean [[net]]?");
  }
  EXPECT_NE(advice("[[disk]]", "aio").find("io_uring where the host has it"), std::string::npos);
  EXPECT_EQ(advice("[[disk]]", "driver"), "; did you mean format?");
  EXPECT_EQ(advice("[[disk]]", "snapshot"), "; did you mean throwaway?");
  EXPECT_EQ(advice("[[disk]]", "num_queues"), "; did you mean queues?");
}

TEST(Suggestion, TheSameNameInAnotherSection) {
  EXPECT_EQ(advice("", "memory"), "; did you mean machine.memory?");
  EXPECT_EQ(advice("", "cpus"), "; did you mean machine.cpus?");
  EXPECT_EQ(advice("", "kernel"), "; did you mean boot.kernel?");
  EXPECT_EQ(advice("", "serial"), "; did you mean console.serial or disk.serial?");
  EXPECT_EQ(advice("[machine]", "cmdline"), "; did you mean boot.cmdline?");
  EXPECT_EQ(advice("[cpu]", "Pin"), "; did you mean machine.pin?");
  EXPECT_EQ(advice("[console]", "name"), "; did you mean name, above all sections?");
}

TEST(Suggestion, OnlyWhatIsNear) {
  EXPECT_EQ(advice("[machine]", "cpuz"), "; did you mean cpus?");
  EXPECT_EQ(advice("[[pci]]", "hots"), "; did you mean host?");
  EXPECT_EQ(advice("[[disk]]", "readOnly"), "; did you mean readonly?");
  EXPECT_EQ(advice("[cpu]", "HIDE-HYPERVISOR"), "; did you mean hide_hypervisor?");
  for (const char* key : {"cows", "pots", "abc", "cost_of_it"}) {
    EXPECT_EQ(advice("[machine]", key), "") << key;
  }
  EXPECT_EQ(advice("", "noise"), "");
  EXPECT_EQ(advice("[[pci]]\nhost = '01:00.0'\n[pci.coherent_memory]", "bra"),
            "; did you mean bar?");
}

TEST(Suggestion, OverridesHaveItToo) {
  expect_error(parse_bootable("[[pci]]\nhost = '01:00.0'", {"pci.0.romfile=/x"}),
               "Unknown key pci.0.romfile (--set pci.0.romfile=/x); did you mean rom?");
}

TEST(ForeignNames, LeadToKeysThatThereAre) {
  for (const auto& row : config::foreign_names()) {
    EXPECT_TRUE(is_known(std::string(row.key))) << row.name << " -> " << row.key;
    EXPECT_FALSE(row.source.empty()) << row.name;
  }
}

TEST(ForeignThings, AdviseKeysThatThereAre) {
  const std::regex mention(R"(\[\[[a-z_]+\]\]|[a-z_]+\.[a-z_]+)");
  for (const auto& row : config::foreign_things()) {
    const std::string text(row.advice);
    for (std::sregex_iterator found(text.begin(), text.end(), mention), end; found != end;
         ++found) {
      EXPECT_TRUE(is_known(found->str())) << row.name << ": " << found->str();
    }
    EXPECT_FALSE(row.source.empty()) << row.name;
  }
}

/// A row that no lookup reaches would be one that lies in wait: known keys are not looked up.
void expect_reachable(std::string_view section, std::string_view name) {
  const auto full = section.empty() ? std::string(name) : fmt::format("{}.{}", section, name);
  EXPECT_EQ(std::find_if(name.begin(), name.end(),
                         [](char c) { return c == '-' || (c >= 'A' && c <= 'Z'); }),
            name.end())
      << full;
  if (section == config::kAnySection) {
    return;
  }
  EXPECT_FALSE(is_known(full)) << full;
  if (section.empty()) {
    EXPECT_FALSE(is_known("[" + full + "]") || is_known("[[" + full + "]]")) << full;
  } else {
    EXPECT_TRUE(kSections.contains(fmt::format("[{}]", section)) ||
                kSections.contains(fmt::format("[[{}]]", section)))
        << full;
  }
}

TEST(ForeignNames, AreNoKeysAndThereOnce) {
  std::set<std::tuple<std::string_view, std::string_view, std::string_view>> rows;
  std::set<std::pair<std::string_view, std::string_view>> names;
  for (const auto& row : config::foreign_names()) {
    expect_reachable(row.section, row.name);
    EXPECT_TRUE(rows.emplace(row.section, row.name, row.key).second) << row.name;
    names.emplace(row.section, row.name);
  }
  for (const auto& row : config::foreign_things()) {
    expect_reachable(row.section, row.name);
    EXPECT_TRUE(names.emplace(row.section, row.name).second) << row.name;
  }
}

}  // namespace
}  // namespace gpuvm::suggestion_test
