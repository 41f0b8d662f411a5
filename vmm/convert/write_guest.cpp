// SPDX-License-Identifier: Apache-2.0
// name, [machine], [cpu], [boot], [[node]], and the sections at the end.
#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/values.hpp"
#include "vmm/convert/writers.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::uint64_t kMebibyte = 1 << 20;
constexpr std::uint64_t kLeastMemory = 128 * kMebibyte;
constexpr std::uint64_t kMostMemory = 16ULL << 40;
constexpr std::uint64_t kMostCpus = 255;
constexpr std::string_view kOvmfCode = "/usr/share/OVMF/OVMF_CODE_4M.fd";
constexpr std::string_view kOvmfVars = "/usr/share/OVMF/OVMF_VARS_4M.fd";

std::uint64_t page_of(const ForeignGuest& guest) {
  return guest.hugepages == "1GiB" ? 1024 * kMebibyte : 2 * kMebibyte;
}

/// What gpuvm takes: whole pages, upwards.
std::uint64_t fit_memory(std::uint64_t bytes, std::uint64_t page) {
  const std::uint64_t size = std::clamp(bytes, kLeastMemory, kMostMemory);
  return (size + page - 1) / page * page;
}

/// Empty where the nodes cannot be what the text says.
bool has_good_nodes(const ForeignGuest& guest) {
  const std::uint64_t cpus = guest.cpus.value_or(1);
  std::set<unsigned> seen;
  for (const auto& node : guest.nodes) {
    for (const unsigned cpu : node.cpus) {
      if (cpu >= cpus || !seen.insert(cpu).second) {
        return false;
      }
    }
    if (node.memory < kLeastMemory || node.memory % page_of(guest) != 0 ||
        node.memory > kMostMemory) {
      return false;
    }
  }
  return seen.size() == cpus && guest.nodes.size() <= 64;
}

std::uint64_t memory_of(const ForeignGuest& guest) {
  std::uint64_t sum = 0;
  for (const auto& node : guest.nodes) {
    sum += std::min(node.memory, kMostMemory);
  }
  if (sum != 0 && has_good_nodes(guest)) {
    return sum;
  }
  return fit_memory(guest.memory.value_or(1024 * kMebibyte), page_of(guest));
}

/// "render-1" of "Render 1", "guest-x" of "-x".
std::string guest_name(std::string_view text) {
  std::string name = lower(text.substr(0, 64));
  std::replace_if(
      name.begin(), name.end(),
      [](char c) {
        return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.';
      },
      '-');
  constexpr std::string_view kNotFirst = "-_.";
  if (!name.empty() && kNotFirst.find(name.front()) != kNotFirst.npos) {
    name = ("guest" + name).substr(0, 64);
  }
  return name;
}

void add_notes(const ForeignGuest& guest, std::string_view of, TomlSection& section) {
  if (const auto found = guest.notes.find(of); found != guest.notes.end()) {
    section.add_notes(found->second);
  }
}

void write_pin(const ForeignGuest& guest, std::uint64_t cpus, TomlSection& section) {
  if (guest.pin.empty()) {
    return;
  }
  std::vector<unsigned> pin;
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    if (const auto found = guest.pin.find(cpu); found != guest.pin.end()) {
      pin.push_back(found->second);
    }
  }
  if (guest.pin.size() > pin.size()) {
    section.note("pinning", 0, "it names vCPUs that there are not");
  }
  if (pin.size() == cpus) {
    section.set("pin", fmt::format("[{}]", fmt::join(pin, ", ")));
  } else {
    section.note(
        "pinning", 0,
        "machine.pin has a CPU of the host for each vCPU, and here are some without: write "
        "the list by hand");
  }
}

TomlSection machine_section(const ForeignGuest& guest) {
  TomlSection section("[machine]");
  const std::uint64_t cpus = std::clamp<std::uint64_t>(guest.cpus.value_or(1), 1, kMostCpus);
  const std::uint64_t memory = memory_of(guest);
  section.set("cpus", fmt::format("{}", cpus));
  section.set_text("memory", memory_text(memory));
  section.set_text("hugepages", guest.hugepages);
  section.set_text("on_reboot", guest.exit_on_reboot ? "exit" : "");
  write_pin(guest, cpus, section);
  if (guest.cpus.value_or(1) != cpus) {
    section.note("vCPUs", 0, "there are 1 to 255");
  }
  if (guest.memory && *guest.memory != memory) {
    section.note(fmt::format("memory of {} bytes", *guest.memory), 0,
                 "it is from 128MiB to 16TiB, in whole pages, and that of all NUMA nodes");
  }
  if (guest.is_whole && (!guest.memory || !guest.cpus)) {
    section.note(
        guest.memory ? "vCPUs"
        : guest.cpus ? "memory"
                     : "vCPUs and memory",
        0, "nothing is said of them, or nothing that can be read: look whether this is enough");
  }
  if (!guest.is_whole) {
    section.note("machine", 0,
                 "the text has devices only: write the guest's vCPUs and memory here");
  }
  add_notes(guest, "machine", section);
  return section;
}

TomlSection cpu_section(const ForeignGuest& guest) {
  TomlSection section("[cpu]");
  if (!guest.hide.empty()) {
    section.set("hide", quoted_list(guest.hide));
  }
  if (guest.hide_hypervisor) {
    section.set("hide_hypervisor", "true");
  }
  if (guest.hyperv_vendor_id.size() <= 12) {
    section.set_text("hyperv_vendor_id", guest.hyperv_vendor_id);
  } else {
    section.note("Hyper-V's vendor_id " + guest.hyperv_vendor_id, 0, "it has up to 12 characters");
  }
  if (!guest.hyperv.empty()) {
    section.set("hyperv", quoted_list(guest.hyperv));
  }
  add_notes(guest, "cpu", section);
  return section;
}

/// The file with variables that belongs to the code's: "…/OVMF_VARS.fd" of "…/OVMF_CODE.fd".
std::string vars_beside(const std::string& firmware) {
  constexpr std::string_view kCode = "CODE";
  std::string vars = firmware;
  const auto slash = vars.rfind('/');
  const auto place = vars.find(kCode, slash == std::string::npos ? 0 : slash);
  if (place == std::string::npos) {
    return std::string(kOvmfVars);
  }
  // Debian's images with keys for Secure Boot have the same variables as a start.
  return vars.replace(place, kCode.size(), "VARS");
}

/// Firmware that was built for Secure Boot starts with SMM only.
bool is_secure_firmware(std::string_view path) {
  const std::string name = lower(path.substr(path.rfind('/') + 1));
  return name.find("secboot") != std::string::npos || name.find("secure") != std::string::npos ||
         name.find(".ms.fd") != std::string::npos;
}

void write_uefi(const ForeignGuest& guest, TomlSection& section) {
  const bool is_ours = guest.firmware.empty();
  const std::string name = guest.name.empty() ? "guest" : guest_name(guest.name);
  section.set_text("vars", guest.vars.empty() ? name + ".vars" : path_text(guest.vars));
  section.set_text("firmware", is_ours ? kOvmfCode : path_text(guest.firmware));
  const std::string made_of = is_ours ? std::string(kOvmfVars) : vars_beside(guest.firmware);
  if (!guest.vars_template.empty()) {
    section.set_text("vars_template", path_text(guest.vars_template));
  } else if (guest.vars.empty() || is_ours) {
    section.set_text("vars_template", path_text(made_of));
  }
  section.set_text("firmware_log", path_text(guest.firmware_log));
  if (is_ours && guest.is_firmware_chosen) {
    section.note("firmware", 0,
                 "libvirt chooses it for firmware='efi', by what the host has: this is Debian's "
                 "OVMF (package ovmf); virsh dumpxml of the running guest names libvirt's");
  } else if (is_ours && guest.is_whole) {
    section.note(
        "firmware", 0,
        "none is named, or a BIOS, which gpuvm has not: this is Debian's OVMF (package ovmf); "
        "a disk that was installed with a BIOS needs an EFI boot loader, or name the guest's "
        "kernel with mode = \"linux\"");
  } else if (is_ours) {
    section.note("boot", 0, "the text has devices only: this is Debian's OVMF (package ovmf)");
  } else if (guest.vars.empty()) {
    section.note("variables of the firmware", 0,
                 "no file for them is named: this one is made at the first run");
  }
  if (is_secure_firmware(guest.firmware)) {
    section.note(guest.firmware, 0, advice::kSecureBoot);
  }
}

/// What goes with another way to start only.
void tell_other_start(const ForeignGuest& guest, TomlSection& section) {
  const auto tell = [&](std::string_view key, const std::string& value, std::string_view advice) {
    if (!value.empty()) {
      section.note(fmt::format("{} {}", key, value), 0, advice);
    }
  };
  if (guest.kernel.empty()) {
    constexpr std::string_view kNeedsKernel = "it needs a kernel, which is not named";
    tell("initrd", guest.initrd, kNeedsKernel);
    tell("cmdline", guest.cmdline, kNeedsKernel);
  }
  if (!is_uefi(guest)) {
    constexpr std::string_view kNeedsFirmware = "it needs a firmware, which is not named";
    tell("vars", guest.vars, kNeedsFirmware);
    tell("vars_template", guest.vars_template, kNeedsFirmware);
    tell("firmware_log", guest.firmware_log, kNeedsFirmware);
  }
}

/// "root=/dev/sda1": the name that the disk had on another controller.
void tell_root(const ForeignGuest& guest, TomlSection& section) {
  constexpr std::string_view kNames[] = {"root=/dev/sd", "root=/dev/hd", "root=/dev/nvme",
                                         "root=/dev/xvd", "root=/dev/mmcblk"};
  std::istringstream words(guest.cmdline);
  for (std::string word; words >> word;) {
    const bool is_name = std::any_of(std::begin(kNames), std::end(kNames),
                                     [&](std::string_view name) { return word.starts_with(name); });
    if (is_name && !guest.disks.empty()) {
      section.note(word, 0,
                   "each [[disk]] is a virtio block device, /dev/vda and on: write its name there "
                   "or root=UUID=…");
    }
  }
}

TomlSection boot_section(const ForeignGuest& guest) {
  TomlSection section("[boot]");
  if (is_uefi(guest)) {
    section.set("mode", "\"uefi\"");
  }
  section.set_text("kernel", path_text(guest.kernel));
  const bool has_kernel = !guest.kernel.empty();
  section.set_text("initrd", has_kernel ? path_text(guest.initrd) : "");
  section.set_text("cmdline", has_kernel ? guest.cmdline : "");
  if (is_uefi(guest)) {
    write_uefi(guest, section);
  }
  if (has_kernel) {
    tell_root(guest, section);
  }
  tell_other_start(guest, section);
  add_notes(guest, "boot", section);
  return section;
}

TomlSection console_section(const ForeignGuest& guest) {
  TomlSection section("[console]");
  if (guest.serial) {
    section.set("serial", guest.serial->empty() ? "[\"off\"]" : quoted_list(*guest.serial));
  }
  if (!guest.virtio_console.empty()) {
    section.set("virtio", quoted_list(guest.virtio_console));
  }
  add_notes(guest, "console", section);
  return section;
}

TomlSection test_section(const ForeignGuest& guest) {
  TomlSection section("[test]");
  if (guest.exit_port) {
    section.set("exit_port", "true");
  }
  if (guest.pvpanic) {
    section.set("pvpanic", "true");
  }
  if (guest.status_port) {
    section.set("status_port", "true");
  }
  add_notes(guest, "test", section);
  return section;
}

}  // namespace

bool is_uefi(const ForeignGuest& guest) {
  return guest.kernel.empty() || !guest.firmware.empty();
}

std::vector<TomlSection> head_sections(const ForeignGuest& guest) {
  TomlSection top("");
  const std::string name = guest_name(guest.name);
  top.set_text("name", name);
  if (name != guest.name) {
    top.note("name " + guest.name, 0, "it has a to z, 0 to 9, \"-\", \"_\" and \".\" here");
  }
  return {std::move(top), machine_section(guest), cpu_section(guest), boot_section(guest)};
}

std::vector<TomlSection> node_sections(const ForeignGuest& guest) {
  std::vector<TomlSection> sections;
  for (const auto& node : guest.nodes) {
    TomlSection section("[[node]]");
    section.set("cpus", fmt::format("[{}]", fmt::join(node.cpus, ", ")));
    section.set_text("memory", memory_text(node.memory));
    if (node.host_node) {
      section.set("host_node", fmt::format("{}", *node.host_node));
    }
    if (!has_good_nodes(guest)) {
      section.note("NUMA node", node.line,
                   "each vCPU has to be in one node, and each node needs 128MiB and more in whole "
                   "pages: all nodes are left out");
      section.leave_out();
    }
    sections.push_back(std::move(section));
  }
  return sections;
}

std::vector<TomlSection> vsock_section(const ForeignGuest& guest) {
  constexpr std::uint64_t kMostCid = 0xfffffffe;
  TomlSection section("[vsock]");
  if (guest.has_vsock && guest.cid && *guest.cid >= 3 && *guest.cid <= kMostCid) {
    section.set("cid", fmt::format("{}", *guest.cid));
  } else if (guest.has_vsock) {
    section.set("cid", "\"auto\"");
    if (guest.cid) {
      section.note(fmt::format("address {}", *guest.cid), 0,
                   "it is 3 to 4294967294: gpuvm takes one that is free");
    }
  }
  add_notes(guest, "vsock", section);
  return {std::move(section)};
}

std::vector<TomlSection> tail_sections(const ForeignGuest& guest) {
  std::vector<TomlSection> sections;
  for (const auto& [name, value] : guest.fw_cfg) {
    TomlSection section("[[fw_cfg]]");
    section.set_text("name", name);
    section.set_text("value", value);
    if (!is_uefi(guest)) {
      section.note("fw_cfg " + name, 0, "it goes with boot.mode = \"uefi\" only");
      section.leave_out();
    }
    sections.push_back(std::move(section));
  }
  if (!guest.credentials.empty()) {
    sections.emplace_back("[credentials]");
    for (const auto& [name, text] : guest.credentials) {
      sections.back().set(in_quotes(name), in_quotes(text));
    }
  }
  sections.push_back(console_section(guest));
  sections.push_back(test_section(guest));
  return sections;
}

}  // namespace gpuvm::convert
