// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/remarks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <sstream>
#include <utility>

namespace gpuvm {
namespace {

std::string both(const PciConfig& one, const PciConfig& other) {
  return fmt::format("Only the host can tell: {} and {} are of one slot of the host",
                     one.place.text, other.place.text);
}

/// Functions that are no virtual ones are of one slot together; only sysfs tells which they are.
void add_remarks(const PciConfig& one, const PciConfig& other, std::vector<std::string>& remarks) {
  if (!one.has_host() || !other.has_host() || !one.host.same_slot(other.host)) {
    return;
  }
  if (one.functions.empty() || other.functions.empty()) {
    remarks.push_back(fmt::format(
        "{}, and \"all\" takes the whole slot but for virtual functions: unless these are some, "
        "write functions = [{}] and functions = [{}], or keep one entry",
        both(one, other), one.host.function, other.host.function));
  }
  if (one.port && other.port && one.port != other.port) {
    remarks.push_back(
        fmt::format("{} and behind ports {} and {} of the guest: unless they are virtual functions "
                    "a reset of either port's bus cannot be a hot reset of the slot; write the "
                    "same port in both",
                    both(one, other), *one.port, *other.port));
  }
}

/// Whether the kernel is told to write to this one; nobody knows of a kernel that a disk has.
bool has_console(const BootConfig& boot, std::string_view name) {
  if (boot.kernel.empty()) {
    return true;
  }
  const auto wanted = fmt::format("console={}", name);
  std::istringstream words(boot.cmdline);
  for (std::string word; words >> word;) {
    if (word.substr(0, word.find(',')) == wanted) {
      return true;
    }
  }
  return false;
}

void add_console_remarks(const Config& config, std::vector<std::string>& remarks) {
  if (!config.console.serial.empty() && !has_console(config.boot, "ttyS0")) {
    remarks.emplace_back(
        "boot.cmdline has no console=ttyS0: the serial port will show nothing of the kernel");
  }
  if (!config.console.virtio.empty() && !has_console(config.boot, "hvc0")) {
    remarks.emplace_back(
        "boot.cmdline has no console=hvc0: console.virtio will show nothing of the kernel, only "
        "what "
        "the guest starts there, such as systemd's login");
  }
}

/// By which gpuvm ssh gets in, or ssh by an address of the guest's own.
bool has_way_in(const Config& config) {
  constexpr std::uint16_t kSshPort = 22;
  const auto leads_to_ssh = [](const PortForward& forward) {
    return !forward.udp && forward.guest == kSshPort;
  };
  return config.vsock || std::any_of(config.nets.begin(), config.nets.end(), [&](const auto& net) {
           return net.mode == NetMode::kTap ||
                  std::any_of(net.forward.begin(), net.forward.end(), leads_to_ssh);
         });
}

void add_login_remarks(const Config& config, std::vector<std::string>& remarks) {
  if (config.ssh_key && !has_way_in(config)) {
    remarks.push_back(
        fmt::format("{}: gpuvm ssh will find no way in: add [vsock], or forward = "
                    "[\"tcp:127.0.0.1/2222:22\"] in "
                    "a [[net]]",
                    config.ssh_key->place.or_else("ssh_key")));
  }
}

/// Which card it is depends on who has them when the guest starts.
void add_remark(const PciConfig& one, std::vector<std::string>& remarks) {
  if (!one.match.empty()) {
    remarks.push_back(
        fmt::format("{} takes the first free card that its match means: `gpuvm run --dry-run` says "
                    "which that is now, and why it is none of the others",
                    one.place.text));
  }
}

bool lies_below(const std::string& file, const std::string& folder) {
  const auto path = std::filesystem::path(file).lexically_normal();
  const auto above = std::filesystem::path(folder + "/").lexically_normal().parent_path();
  return std::mismatch(above.begin(), above.end(), path.begin(), path.end()).first == above.end();
}

/// Keys and paths of what gpuvm opens for a guest; a path may be empty.
std::vector<std::pair<std::string, std::string>> files_of(const Config& config) {
  std::vector<std::pair<std::string, std::string>> files{
      {"boot.kernel", config.boot.kernel},
      {"boot.initrd", config.boot.initrd.value_or("")},
      {"boot.vars", config.boot.vars.value_or("")},
      {"boot.firmware", config.boot.firmware.value_or("")}};
  for (const DiskConfig& disk : config.disks) {
    files.emplace_back(disk.place.or_else("disk"), disk.path);
  }
  for (const PciConfig& pci : config.pci) {
    files.emplace_back("pci.rom", pci.rom.path);
  }
  for (const FwCfgConfig& item : config.fw_cfg) {
    files.emplace_back("fw_cfg", item.file.value_or(""));
  }
  for (const CredentialConfig& credential : config.credentials) {
    files.emplace_back("credentials", credential.file.value_or(""));
  }
  const auto cloud_init = config.cloud_init.value_or(CloudInitConfig{});
  for (const auto& file : {cloud_init.user_data, cloud_init.meta_data, cloud_init.network_config}) {
    files.emplace_back("cloud_init", file.value_or(""));
  }
  return files;
}

}  // namespace

std::vector<std::string> files_in_shares(const Config& config) {
  std::vector<std::string> remarks;
  for (const auto& [key, file] : files_of(config)) {
    for (const ShareConfig& share : config.shares) {
      if (!share.read_only && !file.empty() && lies_below(file, share.path)) {
        remarks.push_back(fmt::format(
            "{}: {} lies in the shared folder {}, where a link of the guest's leads gpuvm to any "
            "file of this host: move it out of {}, or write readonly = true there",
            key, file, share.tag, share.path));
      }
    }
  }
  return remarks;
}

std::vector<std::string> remarks_on(const Config& config) {
  std::vector<std::string> remarks;
  for (std::size_t i = 0; i < config.pci.size(); ++i) {
    add_remark(config.pci[i], remarks);
    for (std::size_t j = i + 1; j < config.pci.size(); ++j) {
      add_remarks(config.pci[i], config.pci[j], remarks);
    }
  }
  add_console_remarks(config, remarks);
  add_login_remarks(config, remarks);
  for (std::string& remark : files_in_shares(config)) {
    remarks.push_back(std::move(remark));
  }
  return remarks;
}

}  // namespace gpuvm
