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

constexpr ForeignValue kValues[] = {
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
