// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/host_map/save_host.hpp"
#include "vmm/machine/report/private_text.hpp"

namespace gpuvm {
namespace {

constexpr const char* kPciDevices = "/sys/bus/pci/devices/";

// Linux, Documentation/ABI/testing/sysfs-bus-pci and sysfs-bus-pci-devices-*.
constexpr std::array kAttributes = {
    "boot_vga",           "class",
    "current_link_speed", "current_link_width",
    "d3cold_allowed",     "device",
    "driver_override",    "enable",
    "max_link_speed",     "max_link_width",
    "numa_node",          "power_state",
    "reset_method",       "resource",
    "revision",           "sriov_numvfs",
    "sriov_totalvfs",     "subsystem_device",
    "subsystem_vendor",   "vendor",
    "resource0_resize",   "resource1_resize",
    "resource2_resize",   "resource3_resize",
    "resource4_resize",   "resource5_resize",
};
/// Written to, or large: only that they are there.
constexpr std::array kMarks = {"reset", "rom"};
constexpr std::array kLinks = {"driver", "iommu_group", "iommu", "physfn"};

/// Names of cards' nodes and network interfaces tell a MAC address where udev has made them of one
/// ("enx001122334455").
void save_interfaces(const HostSystem& host, const std::string& base, HostCopy& copy) {
  std::size_t number = 0;
  for (const std::string& name : host.list(base + "/net")) {
    if (const auto state = host.read(fmt::format("{}/net/{}/operstate", base, name))) {
      copy.make(fmt::format("{}/net/net{}/operstate", base, number++)).text = *state;
    }
  }
}

void save_children(const HostSystem& host, const std::string& base, HostCopy& copy) {
  for (const char* const folder : {"drm", "vfio-dev"}) {
    for (const std::string& name : host.list(fmt::format("{}/{}", base, folder))) {
      copy.make(fmt::format("{}/{}/{}", base, folder, name));
    }
  }
  // USB controllers: names of ports with something in them.
  for (const std::string& hub : host.list(base)) {
    if (!hub.starts_with("usb")) {
      continue;
    }
    for (const std::string& port : host.list(fmt::format("{}/{}", base, hub))) {
      if (port.starts_with(hub.substr(3) + "-") && port.find(':') == std::string::npos) {
        copy.make(fmt::format("{}/{}/{}", base, hub, port));
      }
    }
  }
}

}  // namespace

void save_function(const HostSystem& host, const std::string& name, const PrivateText& clean,
                   HostCopy& copy) {
  const std::string base = kPciDevices + name;
  CopyNode& folder = copy.make(base);
  folder.link = host.link_text(base);
  for (const char* const attribute : kAttributes) {
    const auto text = host.read(fmt::format("{}/{}", base, attribute));
    if (!text) {
      continue;
    }
    std::string lines;
    for (std::size_t at = 0; at < text->size();) {
      const auto end = std::min(text->find('\n', at), text->size());
      lines +=
          fmt::format("{}{}", lines.empty() ? "" : "\n", clean.clean(text->substr(at, end - at)));
      at = end + 1;
    }
    folder.children[attribute].text = lines;
  }
  for (const char* const mark : kMarks) {
    if (host.exists(fmt::format("{}/{}", base, mark))) {
      folder.children[mark].text = "";
    }
  }
  for (const char* const link : kLinks) {
    if (const auto text = host.link_text(fmt::format("{}/{}", base, link))) {
      folder.children[link].link = clean.clean(*text);
    }
  }
  if (auto config = host.read_bytes(base + "/config", pci::kConfigSize)) {
    folder.children["config"].bytes = without_serial_numbers(std::move(config).value()).bytes;
  }
  save_interfaces(host, base, copy);
  save_children(host, base, copy);
}

}  // namespace gpuvm
