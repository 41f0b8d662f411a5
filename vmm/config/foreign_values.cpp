// SPDX-License-Identifier: Apache-2.0
// Values that users of other programs write where gpuvm has words of its own. The sources are named
// as in foreign_names.cpp.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "vmm/base/units.hpp"
#include "vmm/config/foreign_names.hpp"
#include "vmm/config/toml_reader.hpp"

namespace gpuvm::config {
namespace {

constexpr std::string_view kByBridge =
    R"(mode = "tap" with bridge = "NAME" joins a bridge of the host)";
constexpr std::string_view kByPasst =
    R"(mode = "user" is a network behind the host's addresses, by passt)";
constexpr std::string_view kNoNetwork = "a guest without a network has no [[net]]";
constexpr std::string_view kNoMacvtap =
    R"(gpuvm makes no macvtap: mode = "tap" with bridge = "NAME" joins a bridge of the host)";
constexpr std::string_view kSameInFile = "each [[net]] is one card: remove the section";

constexpr std::string_view kByVfio = "a network card of the host is a [[pci]]";
constexpr std::string_view kIsTrue = "that is true here";
constexpr std::string_view kIsFalse = "that is false here";
constexpr std::string_view kIsRaw = R"(that is "raw" here)";
constexpr std::string_view kIsSocket = R"(that is "socket:PATH" here)";
constexpr std::string_view kNoPort =
    R"(gpuvm listens on no port: "socket:PATH", and socat from the port to it)";
constexpr std::string_view kNowhere = R"(["off"] leads nowhere)";
constexpr std::string_view kNoFlush =
    R"(each flush of the guest reaches the storage with "writeback" )"
    R"(and "none"; nothing waits for each single write)";
constexpr std::string_view kAnyCard =
    R"(a card that is free is asked for by match = "any-gpu", in place of host)";
constexpr std::string_view kAnyGpu = R"(did you mean "any-gpu"?)";
constexpr std::string_view kOneCardHere =
    R"(each [[pci]] takes one card: write "any-gpu", and the section once for each)";

constexpr ForeignValue kValues[] = {
    {"console.serial", "null", kNowhere, "QEMU -serial, cloud-hypervisor --serial"},
    {"console.serial", "none", kNowhere, "QEMU -serial"},
    {"console.serial", "unix", kIsSocket, "QEMU -serial unix:, libvirt <serial type>"},
    {"console.serial", "unix_stream", kIsSocket, "crosvm --serial type="},
    {"console.serial", "tcp", kNoPort, "QEMU -serial tcp:, libvirt <serial type>"},
    {"console.serial", "telnet", kNoPort, "QEMU -serial telnet:"},
    {"console.serial", "udp", kNoPort, "QEMU -serial udp:, libvirt <serial type>"},
    {"console.serial", "mon", R"(that is "stdio" here; there is no monitor)", "QEMU -serial mon:"},
    {"console.serial", "stdout", R"(that is "stdio" here)", "crosvm --serial type="},
    {"console.serial", "tty", R"(that is "stdio" here)", "cloud-hypervisor --serial"},
    {"console.serial", "terminal", R"(that is "stdio" here)", "plain"},
    {"console.serial", "chardev", R"(name the place itself: "socket:PATH", "file:PATH", "pty")",
     "QEMU -serial chardev:"},

    {"disk.cache", "directsync", kNoFlush, "QEMU -drive cache="},
    {"disk.cache", "writethrough", kNoFlush, "QEMU -drive cache="},
    {"disk.cache", "on", R"(that is "writeback" here)", "plain"},
    {"disk.cache", "off", R"(that is "none" here)", "QEMU -drive cache="},
    {"disk.discard", "unmap", kIsTrue, "QEMU -drive discard=, libvirt <driver discard>"},
    {"disk.discard", "ignore", kIsFalse, "QEMU -drive discard=, libvirt <driver discard>"},
    {"disk.format", "iso", R"(that is "raw" here, with readonly = true)", "plain"},
    {"disk.format", "img", kIsRaw, "plain"},
    {"disk.format", "host_device", kIsRaw, "QEMU -blockdev driver="},
    {"disk.format", "block", kIsRaw, "libvirt <disk type>"},
    {"disk.format", "file", kIsRaw, "libvirt <disk type>"},
    {"disk.format", "auto", "say what the file is: a guest could write another format's header",
     "plain"},
    {"disk.format", "qcow", "make a qcow2 image of it: qemu-img convert -O qcow2 OLD NEW",
     "QEMU -drive format="},
    {"disk.format", "vpc", "make a qcow2 image of it: qemu-img convert -O qcow2 OLD NEW",
     "QEMU -drive format="},
    {"disk.format", "vhd", "make a qcow2 image of it: qemu-img convert -O qcow2 OLD NEW",
     "cloud-hypervisor --disk image_type="},
    {"disk.format", "fixed_vhd", "make a qcow2 image of it: qemu-img convert -O qcow2 OLD NEW",
     "cloud-hypervisor --disk image_type="},
    {"machine.rng", "virtio", kIsTrue, "libvirt <rng model>"},
    {"machine.rng", "/dev/urandom", kIsTrue, "cloud-hypervisor --rng src="},
    {"machine.rng", "/dev/random", kIsTrue, "libvirt <backend>"},

    {"net.mode", "ethernet", R"(that is mode = "tap" with tap = "NAME" here)",
     "libvirt <interface type>"},
    {"net.mode", "hostdev", kByVfio, "libvirt <interface type>"},
    {"net.mode", "vhost_user", "gpuvm has no vhost-user network cards", "QEMU -netdev vhost-user"},
    {"net.mode", "vhostuser", "gpuvm has no vhost-user network cards", "libvirt <interface type>"},
    {"net.mode", "vdpa", "gpuvm has no vDPA; a virtual function is a [[pci]]",
     "libvirt <interface type>"},
    {"net.mode", "virtio", "all network cards are virtio ones; mode is where their frames go",
     "plain"},
    {"net.mode", "bridge", kByBridge, "QEMU -netdev bridge, libvirt <interface type>"},
    {"net.mode", "direct", kNoMacvtap, "libvirt <interface type>"},
    {"net.mode", "macvtap", kNoMacvtap, "Linux"},
    {"net.mode", "nat", kByPasst, "libvirt <forward mode>"},
    {"net.mode", "network", kByBridge, "libvirt <interface type>"},
    {"net.mode", "passt", kByPasst, "libvirt <backend type>"},
    {"net.mode", "slirp", kByPasst, "QEMU's library"},
    {"net.mode", "none", kNoNetwork, "QEMU -nic none"},
    {"net.mode", "off", kNoNetwork, "plain"},
    {"net.mode", "hubport", kSameInFile, "QEMU -netdev hubport"},

    {"pci.host", "any", kAnyCard, "plain"},
    {"pci.host", "any_gpu", kAnyCard, "gpuvm's own match"},
    {"pci.host", "auto", kAnyCard, "plain"},
    {"pci.host", "gpu", kAnyCard, "plain"},
    {"pci.match", "all", kOneCardHere, "docker run --gpus all"},
    {"pci.match", "amd", R"(did you mean "1002:*"?)", "plain"},
    {"pci.match", "any", kAnyGpu, "plain"},
    {"pci.match", "auto", kAnyGpu, "plain"},
    {"pci.match", "anygpu", kAnyGpu, "plain"},
    {"pci.match", "display", R"(did you mean "class:03"?)", "PCI specification"},
    {"pci.match", "gpu", kAnyGpu, "plain"},
    {"pci.match", "intel", R"(did you mean "8086:*"?)", "plain"},
    {"pci.match", "nvidia", R"(did you mean "10de:*"?)", "plain"},
    {"pci.match", "vga", R"(did you mean "class:0300"?)", "lspci"},
    {"pci.reset", "bus", R"(that is "hot" here)", "sysfs reset_method"},
    {"pci.reset", "sbr", R"(that is "hot" here)", "PCI specification"},
    {"pci.reset", "secondary_bus", R"(that is "hot" here)", "PCI specification"},
    {"pci.reset", "flr", R"(that is "function" here)", "sysfs reset_method"},
    {"pci.reset", "af_flr", R"(that is "function" here)", "sysfs reset_method"},
    {"pci.reset", "pm", R"("function" is the kernel's choice out of sysfs reset_method)",
     "sysfs reset_method"},
    {"pci.reset", "acpi", R"("function" is the kernel's choice out of sysfs reset_method)",
     "sysfs reset_method"},
    {"pci.reset", "device_specific",
     R"("function" is the kernel's choice out of sysfs reset_method)", "sysfs reset_method"},
    {"pci.reset", "off", R"(that is "none" here)", "plain"},
    {"pci.reset", "never", R"(that is "none" here)", "plain"},
    {"pci.reset", "default", R"(that is "auto" here)", "plain"},

    {"boot.mode", "efi",
     R"(that is "uefi" for a firmware image such as OVMF, and "efi-handover" )"
     "for a kernel's own EFI stub",
     "libvirt <os firmware>"},
    {"boot.mode", "ovmf", R"(that is "uefi" here)", "the firmware's name"},
    {"boot.mode", "firmware", R"(that is "uefi" here)", "cloud-hypervisor --firmware"},
    {"boot.mode", "bios", R"(there is none but UEFI's: "uefi")", "libvirt <os firmware>"},
    {"boot.mode", "disk", R"(a disk is started by "uefi")", "plain"},
    {"boot.mode", "kernel", R"(that is "linux" here)", "cloud-hypervisor --kernel"},
    {"boot.mode", "direct", R"(that is "linux" here)", "plain"},

    {"machine.hugepages", "2m", R"(did you mean "2MiB"?)", "plain"},
    {"machine.hugepages", "2mb", R"(did you mean "2MiB"?)", "plain"},
    {"machine.hugepages", "2048k", R"(did you mean "2MiB"?)", "sysfs hugepages-2048kB"},
    {"machine.hugepages", "2048kb", R"(did you mean "2MiB"?)", "sysfs hugepages-2048kB"},
    {"machine.hugepages", "1g", R"(did you mean "1GiB"?)", "plain"},
    {"machine.hugepages", "1gb", R"(did you mean "1GiB"?)", "plain"},
    {"machine.hugepages", "on", R"(say which: "2MiB" are what most hosts can have at any time)",
     "QEMU memory-backend hugetlb=on"},

    {"machine.on_reboot", "restart", R"(that is "reset" here)", "libvirt <on_reboot>"},
    {"machine.on_reboot", "reboot", R"(that is "reset" here)", "plain"},
    {"machine.on_reboot", "destroy", R"(that is "exit" here)", "libvirt <on_reboot>"},
    {"machine.on_reboot", "shutdown", R"(that is "exit" here)", "QEMU -action reboot="},
    {"machine.on_reboot", "poweroff", R"(that is "exit" here)", "plain"},
};

/// Letters as small ones, without white space and with "_" for "-".
std::string plain_value(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  std::string plain;
  for (const char c : text.substr(0, kLongest)) {
    if (c != ' ' && c != '\t') {
      const bool is_large = c >= 'A' && c <= 'Z';
      plain += c == '-' ? '_' : is_large ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return plain;
}

/// "GiB" of "g", "gb" and "gib", and so on; without a unit MiB is what people count in.
std::string_view unit_of(std::string_view plain) {
  constexpr std::pair<std::string_view, std::string_view> kUnits[] = {
      {"", "MiB"},   {"m", "MiB"},   {"mb", "MiB"}, {"mib", "MiB"}, {"g", "GiB"},
      {"gb", "GiB"}, {"gib", "GiB"}, {"t", "TiB"},  {"tb", "TiB"},  {"tib", "TiB"},
  };
  for (const auto& [name, unit] : kUnits) {
    if (name == plain) {
      return unit;
    }
  }
  return {};
}

}  // namespace

std::span<const ForeignValue> foreign_values() {
  return kValues;
}

std::string value_advice(std::string_view key, std::string_view value) {
  const auto wanted = plain_value(value);
  const auto all = foreign_values();
  const auto row = std::find_if(all.begin(), all.end(), [&](const ForeignValue& each) {
    return each.key == key && each.value == wanted;
  });
  return row == all.end() ? std::string() : fmt::format("; {}", row->advice);
}

std::string_view switch_guess(std::string_view text) {
  constexpr std::pair<std::string_view, std::string_view> kWordsFor[] = {
      {"yes", "true"},       {"on", "true"},      {"true", "true"},  {"1", "true"},
      {"enable", "true"},    {"enabled", "true"}, {"no", "false"},   {"off", "false"},
      {"false", "false"},    {"0", "false"},      {"none", "false"}, {"disable", "false"},
      {"disabled", "false"},
  };
  const auto plain = plain_value(text);
  for (const auto& [word, meaning] : kWordsFor) {
    if (word == plain) {
      return meaning;
    }
  }
  return {};
}

std::string size_guess(std::string_view text) {
  const auto plain = plain_value(text);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(plain.data(), plain.data() + plain.size(), number);
  const auto unit =
      unit_of(std::string_view(plain).substr(static_cast<std::size_t>(end - plain.data())));
  if (error != std::errc{} || unit.empty() || number == 0) {
    return {};
  }
  const bool is_bytes = plain.find_first_not_of("0123456789") == std::string::npos;
  // Nobody has so many MiB: those are bytes.
  constexpr std::uint64_t kLeastBytes = 128_MiB;
  if (is_bytes && number >= kLeastBytes) {
    return number % 1_MiB == 0 ? fmt::format("{}MiB", number / 1_MiB) : std::string();
  }
  return fmt::format("{}{}", number, unit);
}

}  // namespace gpuvm::config
