// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/device_use.hpp"

#include <algorithm>
#include <cctype>
#include <sstream>

#include "vmm/host/bar_claims.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

using Uses = std::vector<std::string>;

bool is_process_directory(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char letter) {
    return std::isdigit(letter) != 0;
  });
}

void add_holders(const HostSystem& host, const std::string& file, Uses& uses) {
  for (const std::string& holder : find_holders(host, file)) {
    uses.push_back(fmt::format("{} holds {} open", holder, file));
  }
}

void add_drm_uses(const HostSystem& host, const std::string& device, Uses& uses) {
  for (const std::string& node : host.list(device + "/drm")) {
    add_holders(host, "/dev/dri/" + node, uses);
  }
}

/// simpledrm's, whose device is a child of the function that the firmware started.
void add_frame_buffer_uses(const HostSystem& host, const Bdf& bdf, Uses& uses) {
  for (const std::string& child : host.list(pci_sysfs_path(bdf))) {
    if (child.find("-framebuffer.") != std::string::npos) {
      add_drm_uses(host, pci_sysfs_path(bdf, child), uses);
    }
  }
}

// NVIDIA's own driver: "Device Minor: 	 0" gives /dev/nvidia0.
void add_nvidia_uses(const HostSystem& host, const Bdf& bdf, Uses& uses) {
  const auto text = host.read("/proc/driver/nvidia/gpus/" + bdf.to_string() + "/information");
  constexpr std::string_view kKey = "Device Minor:";
  const auto at = text ? text->find(kKey) : std::string::npos;
  if (at == std::string::npos) {
    return;
  }
  std::istringstream rest(text->substr(at + kKey.size()));
  unsigned minor = 0;
  if (rest >> minor) {
    add_holders(host, fmt::format("/dev/nvidia{}", minor), uses);
  }
}

void add_network_uses(const HostSystem& host, const Bdf& bdf, Uses& uses) {
  for (const std::string& name : host.list(pci_sysfs_path(bdf, "net"))) {
    const auto state = host.read(pci_sysfs_path(bdf, "net/" + name + "/operstate"));
    if (state && *state == "up") {
      uses.push_back(fmt::format("network interface {} is up", name));
    }
  }
}

/// The first words of the lines of a table such as /proc/self/mounts.
bool first_column_has(const HostSystem& host, std::string_view table, const std::string& wanted) {
  const auto text = host.read(table);
  std::istringstream lines(text ? *text : std::string());
  for (std::string line; std::getline(lines, line);) {
    if (line.substr(0, line.find_first_of(" \t")) == wanted) {
      return true;
    }
  }
  return false;
}

void add_disk_uses(const HostSystem& host, const Bdf& bdf, Uses& uses) {
  const std::string component = "/" + bdf.to_string() + "/";
  for (const std::string& name : host.list("/sys/class/block")) {
    const std::string entry = fmt::format("/sys/class/block/{}", name);
    const auto target = host.link_text(entry);
    if (!target || target->find(component) == std::string::npos) {
      continue;
    }
    if (first_column_has(host, "/proc/self/mounts", fmt::format("/dev/{}", name))) {
      uses.push_back(fmt::format("/dev/{} is mounted", name));
    }
    if (first_column_has(host, "/proc/swaps", fmt::format("/dev/{}", name))) {
      uses.push_back(fmt::format("/dev/{} is swap space", name));
    }
    for (const std::string& holder : host.list(fmt::format("{}/holders", entry))) {
      uses.push_back(fmt::format("/dev/{} is part of {}", name, holder));
    }
  }
}

}  // namespace

std::vector<std::string> find_holders(const HostSystem& host, std::string_view file) {
  std::vector<std::string> holders;
  for (const std::string& process : host.list("/proc")) {
    if (!is_process_directory(process)) {
      continue;
    }
    const std::string descriptors = "/proc/" + process + "/fd";
    for (const std::string& number : host.list(descriptors)) {
      if (host.link_text(fmt::format("{}/{}", descriptors, number)) == file) {
        const auto name = host.read("/proc/" + process + "/comm");
        holders.push_back(fmt::format("{} (pid {})", name ? *name : "a process", process));
        break;
      }
    }
  }
  return holders;
}

std::vector<std::string> find_uses(const HostSystem& host, const Bdf& bdf) {
  Uses uses;
  add_drm_uses(host, pci_sysfs_path(bdf), uses);
  add_frame_buffer_uses(host, bdf, uses);
  add_nvidia_uses(host, bdf, uses);
  add_network_uses(host, bdf, uses);
  add_disk_uses(host, bdf, uses);
  return uses;
}

std::vector<std::string> find_suspects(const HostSystem& host, const Bdf& bdf,
                                       std::string_view driver) {
  Uses uses = find_uses(host, bdf);
  if (driver == "nvidia") {
    for (const char* const node : {"/dev/nvidiactl", "/dev/nvidia-modeset", "/dev/nvidia-uvm"}) {
      add_holders(host, node, uses);
    }
    for (const char* const parameter : {"modeset", "fbdev"}) {
      const auto value = host.read(fmt::format("/sys/module/nvidia_drm/parameters/{}", parameter));
      if (value && value->starts_with("Y")) {
        uses.push_back(fmt::format("nvidia_drm has {}=1 (`rmmod nvidia_drm`)", parameter));
      }
    }
  }
  const std::string consoles = unbind_consoles(host);
  if (!consoles.empty()) {
    uses.push_back("a console is on a frame buffer (" + consoles + ")");
  }
  return uses;
}

Status check_not_in_use(const HostSystem& host, const Bdf& bdf) {
  const Uses uses = find_uses(host, bdf);
  if (uses.empty()) {
    return {};
  }
  std::string all;
  for (const std::string& use : uses) {
    all += (all.empty() ? "" : "; ") + use;
  }
  return fail(ErrorKind::kHost,
              "{} is in use by the host ({}): stop that use first, or bind the function to "
              "vfio-pci at boot",
              bdf.to_string(), all);
}

}  // namespace gpuvm
