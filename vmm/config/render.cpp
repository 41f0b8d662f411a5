// SPDX-License-Identifier: Apache-2.0
// A Config as TOML text, for --dry-run.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/config/config.hpp"
#include "vmm/config/names.hpp"

namespace gpuvm {
namespace {

/// A basic string of TOML 1.0. Values hold no control characters, so two escapes are enough.
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

std::string quoted_list(const std::vector<std::string>& texts) {
  std::vector<std::string> items(texts.size());
  std::transform(texts.begin(), texts.end(), items.begin(), in_quotes);
  return fmt::format("[{}]", fmt::join(items, ", "));
}

std::string memory_text(std::uint64_t bytes) {
  return is_aligned(bytes, 1_GiB) ? fmt::format("{}GiB", bytes >> 30)
                                  : fmt::format("{}MiB", bytes >> 20);
}

std::string target_text(const SerialTarget& target) {
  switch (target.kind) {
    case SerialTarget::Kind::kStdio:
      return "stdio";
    case SerialTarget::Kind::kPty:
      return "pty";
    case SerialTarget::Kind::kFile:
      return "file:" + target.path;
    case SerialTarget::Kind::kSocket:
      return "socket:" + target.path;
  }
  return {};
}

std::string machine_text(const MachineConfig& machine) {
  return fmt::format(
      "\n[machine]\ncpus = {}\nmemory = \"{}\"\nhugepages = \"{}\"\non_reboot = \"{}\"\n"
      "config_ports = \"{}\"\npin_memory = \"{}\"\nbattery = {}\npin = [{}]\n",
      machine.cpus, memory_text(machine.memory), config::word_of(machine.huge_pages),
      config::word_of(machine.on_reboot), config::word_of(machine.config_ports),
      config::word_of(machine.pin_memory), machine.battery, fmt::join(machine.pin, ", "));
}

std::string boot_text(const BootConfig& boot) {
  std::string out = fmt::format("\n[boot]\nmode = \"{}\"\n", config::word_of(boot.mode));
  const auto path = [&out](std::string_view key, const std::optional<std::string>& value) {
    if (value) {
      out += fmt::format("{} = {}\n", key, in_quotes(*value));
    }
  };
  path("kernel", boot.kernel.empty() ? std::nullopt : std::optional(boot.kernel));
  path("initrd", boot.initrd);
  out += fmt::format("cmdline = {}\n", in_quotes(boot.cmdline));
  path("vars", boot.vars);
  path("firmware", boot.firmware);
  path("vars_template", boot.vars_template);
  path("firmware_log", boot.firmware_log);
  return out;
}

std::string fw_cfg_text(const FwCfgConfig& item) {
  return fmt::format(
      "\n[[fw_cfg]]\nname = {}\nvalue = {}\n", in_quotes(item.name),
      in_quotes(item.file ? "file:" + *item.file : "string:" + item.text.value_or("")));
}

std::string host_text(const PciConfig& pci) {
  std::string out = fmt::format("host = \"{}\"\n", pci.host.to_string());
  out += pci.functions.empty() ? "functions = \"all\"\n"
                               : fmt::format("functions = [{}]\n", fmt::join(pci.functions, ", "));
  return out + fmt::format("managed = {}\n", pci.managed);
}

std::string rom_text(const PciRomConfig& rom) {
  const std::string value = rom.mode == PciRomMode::kFile  ? rom.path
                            : rom.mode == PciRomMode::kOff ? "off"
                                                           : "auto";
  return fmt::format(
      "rom = {}\nrom_check = \"{}\"\n", in_quotes(value),
      config::word_of(rom.strict ? config::RomCheck::kStrict : config::RomCheck::kCorrect));
}

template <class Id>
std::string id_text(std::string_view key, const std::optional<Id>& id, int digits) {
  return id ? fmt::format("{} = 0x{:0{}x}\n", key, *id, digits) : std::string();
}

std::string opening_text(const PciConfig& pci) {
  std::string size = in_quotes("keep");
  if (const auto& choice = pci.resize_bar) {
    size = in_quotes(choice->size == 0 ? "max" : memory_text(choice->size));
    size = choice->bar ? fmt::format("{{ bar = {}, size = {} }}", *choice->bar, size) : size;
  }
  return fmt::format("resize_bar = {}\n", size) +
         (pci.vf_token.empty() ? "" : fmt::format("vf_token = {}\n", in_quotes(pci.vf_token)));
}

std::string pci_text(const PciConfig& pci) {
  std::string out =
      "\n[[pci]]\n" +
      (pci.socket.empty() ? host_text(pci) : "socket = " + in_quotes(pci.socket) + "\n");
  if (pci.port) {
    out += fmt::format("port = {}\n", *pci.port);
  }
  out += fmt::format("reset = \"{}\"\n", config::word_of(pci.reset));
  if (pci.reset_wait) {
    out += fmt::format("reset_wait = {}\n", *pci.reset_wait);
  }
  out += rom_text(pci.rom) + fmt::format("acpi_rom = \"{}\"\n", config::word_of(pci.acpi_rom));
  out += id_text("vendor_id", pci.identity.vendor_id, 4);
  out += id_text("device_id", pci.identity.device_id, 4);
  out += id_text("sub_vendor_id", pci.identity.sub_vendor_id, 4);
  out += id_text("sub_device_id", pci.identity.sub_device_id, 4);
  out += id_text("class", pci.identity.class_code, 6);
  if (pci.gpudirect_clique) {
    out += fmt::format("gpudirect_clique = {}\n", *pci.gpudirect_clique);
  }
  if (pci.coherent_memory) {
    const auto& memory = *pci.coherent_memory;
    out += fmt::format(
        "coherent_memory = {{ {}{} }}\n",
        memory.bar ? fmt::format("bar = {}", *memory.bar) : "region = " + in_quotes(memory.region),
        memory.at_host_address ? ", place = \"host\"" : "");
  }
  if (pci.socket.empty()) {
    out += opening_text(pci);
    out += fmt::format("p2p = {}\nquirks = {}\n", pci.p2p, quoted_list(pci.quirks));
  }
  out += fmt::format("msix_relocation = \"{}\"\n", config::word_of(pci.msix_relocation));
  return out;
}

std::string node_text(const NodeConfig& node) {
  std::string out = fmt::format("\n[[node]]\ncpus = [{}]\nmemory = \"{}\"\n",
                                fmt::join(node.cpus, ", "), memory_text(node.memory));
  return node.host_node ? out + fmt::format("host_node = {}\n", *node.host_node) : out;
}

std::string disk_text(const DiskConfig& disk) {
  return fmt::format("\n[[disk]]\npath = {}\nreadonly = {}\nboot = {}\n", in_quotes(disk.path),
                     disk.read_only, disk.boot);
}

std::string forward_text(const PortForward& forward) {
  return fmt::format("{}:{}{}{}:{}", forward.udp ? "udp" : "tcp", forward.address,
                     forward.address.empty() ? "" : "/", forward.host, forward.guest);
}

std::string net_text(const NetConfig& net) {
  std::string out = fmt::format("\n[[net]]\nmode = \"{}\"\n", config::word_of(net.mode));
  if (!net.tap.empty()) {
    out += fmt::format("tap = {}\n", in_quotes(net.tap));
  }
  if (!net.bridge.empty()) {
    out += fmt::format("bridge = {}\n", in_quotes(net.bridge));
  }
  if (net.fd) {
    out += fmt::format("fd = {}\n", *net.fd);
  }
  if (net.mode == NetMode::kUser) {
    std::vector<std::string> forwards(net.forward.size());
    std::transform(net.forward.begin(), net.forward.end(), forwards.begin(), forward_text);
    out += fmt::format("forward = {}\n", quoted_list(forwards));
  }
  if (net.mac) {
    out += fmt::format("mac = \"{}\"\n", net.mac->to_string());
  }
  out += net.mtu ? fmt::format("mtu = {}\n", *net.mtu) : "";
  return out + fmt::format("queues = {}\n", net.queues);
}

std::string console_text(const ConsoleConfig& console) {
  std::vector<std::string> targets(console.serial.size());
  std::transform(console.serial.begin(), console.serial.end(), targets.begin(), target_text);
  if (targets.empty()) {
    targets.emplace_back("off");
  }
  return fmt::format("\n[console]\nserial = {}\n", quoted_list(targets));
}

}  // namespace

std::string_view to_string(BootMode mode) {
  return config::word_of(mode);
}

std::string to_toml(const Config& config) {
  std::string out = fmt::format("name = {}\n", in_quotes(config.name));
  out += machine_text(config.machine);
  out +=
      fmt::format("\n[cpu]\nhide = {}\nhide_hypervisor = {}\nhyperv_vendor_id = {}\nhyperv = {}\n",
                  quoted_list(config.cpu.hide), config.cpu.hide_hypervisor,
                  in_quotes(config.cpu.hyperv_vendor_id), quoted_list(config.cpu.hyperv));
  out += boot_text(config.boot);
  for (const auto& pci : config.pci) {
    out += pci_text(pci);
  }
  for (const auto& node : config.nodes) {
    out += node_text(node);
  }
  for (const auto& disk : config.disks) {
    out += disk_text(disk);
  }
  for (const auto& net : config.nets) {
    out += net_text(net);
  }
  for (const auto& item : config.fw_cfg) {
    out += fw_cfg_text(item);
  }
  return out + console_text(config.console);
}

}  // namespace gpuvm
