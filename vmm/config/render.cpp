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

template <class Things>
std::string list_of_names(const Things& things) {
  std::vector<std::string> names;
  for (const auto& thing : things) {
    names.push_back(thing.to_string());
  }
  return quoted_list(names);
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

std::string limit_text(std::chrono::seconds limit) {
  return in_quotes(limit.count() == 0 ? "off" : fmt::format("{}s", limit.count()));
}

std::string machine_text(const MachineConfig& machine) {
  return fmt::format(
      "\n[machine]\ncpus = {}\nmemory = \"{}\"\nhugepages = \"{}\"\non_reboot = \"{}\"\n"
      "reboot_backoff = {}\nconfig_ports = \"{}\"\npin_memory = \"{}\"\nbattery = {}\nrng = "
      "{}\nfree_ports = {}\nattachable = {}\nscrub = \"{}\"\nreserve = \"{}\"\npin = [{}]\n",
      machine.cpus, memory_text(machine.memory), config::word_of(machine.huge_pages),
      config::word_of(machine.on_reboot), limit_text(machine.reboot_backoff),
      config::word_of(machine.config_ports), config::word_of(machine.pin_memory), machine.battery,
      machine.rng, machine.free_ports, list_of_names(machine.attachable),
      config::word_of(machine.scrub), memory_text(machine.reserve), fmt::join(machine.pin, ", "));
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
  out += fmt::format("decompress = \"{}\"\n", config::word_of(boot.decompress));
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

/// A text may be a secret, and what prints this may be a log.
std::string credentials_text(const std::vector<CredentialConfig>& credentials) {
  std::string out = credentials.empty() ? "" : "\n[credentials]\n";
  for (const auto& credential : credentials) {
    const std::string name = in_quotes(credential.name);
    out += credential.file
               ? fmt::format("{} = {{ file = {} }}\n", name, in_quotes(*credential.file))
               : fmt::format("# {} = a text, which is not shown\n", name);
  }
  return out;
}

std::string cloud_init_text(const CloudInitConfig& cloud_init) {
  std::string out = "\n[cloud_init]\n";
  const auto path = [&out](std::string_view key, const std::optional<std::string>& value) {
    out += value ? fmt::format("{} = {}\n", key, in_quotes(*value)) : "";
  };
  path("user_data", cloud_init.user_data);
  path("meta_data", cloud_init.meta_data);
  path("network_config", cloud_init.network_config);
  return out;
}

std::string writable_text(const PciWritable& writable) {
  std::vector<std::string> words;
  for (const auto& [is_there, word] :
       {std::pair{writable.vpd, "vpd"}, {writable.dvsec, "dvsec"}, {writable.doe, "doe"}}) {
    if (is_there) {
      words.emplace_back(word);
    }
  }
  return words.empty() ? "" : fmt::format("writable = {}\n", quoted_list(words));
}

std::string host_text(const PciConfig& pci) {
  std::string out = pci.match.empty() ? fmt::format("host = \"{}\"\n", pci.host.to_string())
                                      : fmt::format("match = {}\n", list_of_names(pci.match));
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

std::string scrub_text(const PciConfig& pci) {
  std::string out = fmt::format("scrub = \"{}\"\n", config::word_of(pci.scrub));
  if (pci.scrub == PciScrub::kOff) {
    return out;
  }
  if (!pci.scrub_bars.empty()) {
    out += fmt::format("scrub_bars = [{}]\n", fmt::join(pci.scrub_bars, ", "));
  }
  return out + fmt::format("scrub_limit = \"{}s\"\n", pci.scrub_limit.count());
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
  out += scrub_text(pci);
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
  out += writable_text(pci.writable);
  out += fmt::format("msix_relocation = \"{}\"\n", config::word_of(pci.msix_relocation));
  return out;
}

std::string node_text(const NodeConfig& node) {
  std::string out = fmt::format("\n[[node]]\ncpus = [{}]\nmemory = \"{}\"\n",
                                fmt::join(node.cpus, ", "), memory_text(node.memory));
  return node.host_node ? out + fmt::format("host_node = {}\n", *node.host_node) : out;
}

std::string throttle_text(std::string_view count_key, std::uint64_t count,
                          std::uint64_t bandwidth) {
  std::vector<std::string> limits;
  if (count != 0) {
    limits.push_back(fmt::format("{} = {}", count_key, count));
  }
  if (bandwidth != 0) {
    limits.push_back(fmt::format("bandwidth = \"{}\"", memory_text(bandwidth)));
  }
  return limits.empty() ? "" : fmt::format("throttle = {{ {} }}\n", fmt::join(limits, ", "));
}

std::string disk_text(const DiskConfig& disk) {
  std::string out = fmt::format(
      "\n[[disk]]\npath = {}\nformat = \"{}\"\nreadonly = {}\nthrowaway = {}\nboot = {}\n",
      in_quotes(disk.path), config::word_of(disk.format), disk.read_only, disk.throwaway,
      disk.boot);
  if (!disk.serial.empty()) {
    out += fmt::format("serial = {}\n", in_quotes(disk.serial));
  }
  out += fmt::format("cache = \"{}\"\ndiscard = {}\n", config::word_of(disk.cache), disk.discard);
  if (disk.queues) {
    out += fmt::format("queues = {}\n", *disk.queues);
  }
  return out + throttle_text("iops", disk.throttle.iops, disk.throttle.bandwidth);
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
    out +=
        fmt::format("forward = {}\nhost_loopback = {}\n", quoted_list(forwards), net.host_loopback);
  }
  if (net.mac) {
    out += fmt::format("mac = \"{}\"\n", net.mac->to_string());
  }
  out += net.mtu ? fmt::format("mtu = {}\n", *net.mtu) : "";
  out += throttle_text("packets", net.throttle.packets, net.throttle.bandwidth);
  return out + fmt::format("queues = {}\n", net.queues);
}

std::string vsock_text(const VsockConfig& vsock) {
  return fmt::format("\n[vsock]\ncid = {}\n",
                     vsock.cid ? std::to_string(*vsock.cid) : in_quotes("auto"));
}

std::string share_text(const ShareConfig& share) {
  return fmt::format("\n[[share]]\npath = {}\ntag = {}\nreadonly = {}\n", in_quotes(share.path),
                     in_quotes(share.tag), share.read_only);
}

std::string targets_text(const std::vector<SerialTarget>& targets) {
  std::vector<std::string> texts(targets.size());
  std::transform(targets.begin(), targets.end(), texts.begin(), target_text);
  if (texts.empty()) {
    texts.emplace_back("off");
  }
  return quoted_list(texts);
}

std::string console_text(const ConsoleConfig& console) {
  return fmt::format("\n[console]\nserial = {}\nvirtio = {}\n", targets_text(console.serial),
                     targets_text(console.virtio));
}

std::string control_text(const ControlConfig& control) {
  const bool is_off = control.socket == ControlConfig::Socket::kOff;
  const bool is_path = control.socket == ControlConfig::Socket::kPath;
  auto out =
      fmt::format("\n[control]\nsocket = {}\n", in_quotes(is_path  ? std::string_view(control.path)
                                                          : is_off ? "off"
                                                                   : "auto"));
  if (!control.group.empty()) {
    out += fmt::format("group = {}\n", in_quotes(control.group));
  }
  return out;
}

std::string job_text(const TestConfig& test) {
  return fmt::format(
      "command = {}\ntimeout = {}\nfirst_console_timeout = {}\nconsole_timeout = {}\n"
      "success_pattern = {}\nfailure_pattern = {}\nretries = {}\nreboots = {}\n",
      in_quotes(test.command), limit_text(test.timeout), limit_text(test.first_console_timeout),
      limit_text(test.console_timeout), quoted_list(test.success_pattern),
      quoted_list(test.failure_pattern), test.retries, test.reboots);
}

std::string test_text(const TestConfig& test) {
  auto out = fmt::format(
      "\n[test]\nexit_port = {}\npvpanic = {}\nstatus_port = {}\nvsock_status = {}\nnotify = {}\n",
      test.exit_port, test.pvpanic, test.status_port, test.vsock_status, test.notify);
  if (test.result_file) {
    out += fmt::format("result_file = {}\n",
                       in_quotes(test.result_file->tag + ":" + test.result_file->path));
  }
  if (!test.artifact_share.empty()) {
    out += fmt::format("artifact_share = {}\n", in_quotes(test.artifact_share));
  }
  return out + job_text(test);
}

std::string systemd_text(const SystemdConfig& systemd) {
  return fmt::format("\n[systemd]\nready = \"{}\"\nmachined = \"{}\"\n",
                     config::word_of(systemd.ready), config::word_of(systemd.machined));
}

std::string sandbox_text(const SandboxConfig& sandbox) {
  auto out = fmt::format(
      "\n[sandbox]\nmode = \"{}\"\nowner = \"{}\"\nuser = {}\ngroup = {}\nhelper_user = {}\n",
      config::word_of(sandbox.mode), config::word_of(sandbox.owner), in_quotes(sandbox.user),
      in_quotes(sandbox.group), in_quotes(sandbox.helper_user));
  if (!sandbox.log.empty()) {
    out += fmt::format("log = {}\n", in_quotes(sandbox.log));
  }
  return out;
}

}  // namespace

std::string_view to_string(BootMode mode) {
  return config::word_of(mode);
}

std::string to_toml(const Config& config) {
  std::string out = fmt::format("name = {}\n", in_quotes(config.name));
  if (config.ssh_key) {
    const auto& path = config.ssh_key->path;
    out += fmt::format("ssh_key = {}\n", in_quotes(path.empty() ? "auto" : path));
  }
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
  if (config.vsock) {
    out += vsock_text(*config.vsock);
  }
  for (const auto& share : config.shares) {
    out += share_text(share);
  }
  for (const auto& item : config.fw_cfg) {
    out += fw_cfg_text(item);
  }
  out += credentials_text(config.credentials);
  if (config.cloud_init) {
    out += cloud_init_text(*config.cloud_init);
  }
  return out + console_text(config.console) + control_text(config.control) +
         test_text(config.test) + systemd_text(config.systemd) + sandbox_text(config.sandbox);
}

}  // namespace gpuvm
