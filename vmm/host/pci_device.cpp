// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/pci_device.hpp"

#include <charconv>
#include <sstream>

#include "vmm/host/device_claim.hpp"

namespace gpuvm {
namespace {

Result<std::uint32_t> read_id(const HostSystem& host, const Bdf& bdf, std::string_view attribute) {
  const std::string path = pci_sysfs_path(bdf, attribute);
  const auto value = host.read_number(path);
  if (!value || *value > 0xffffff) {
    if (host.is_saved()) {
      return fail(ErrorKind::kConfig,
                  "The saved host has no number of at most 24 bits in {}: correct it, or save the "
                  "host anew (gpuvm devices --save FILE)",
                  path);
    }
    return fail(ErrorKind::kHost, "Cannot read {}: is sysfs mounted on /sys?", host.path(path));
  }
  return static_cast<std::uint32_t>(*value);
}

std::uint32_t small_number(const HostSystem& host, const std::string& path) {
  const auto value = host.read_number(path);
  return value && *value <= 255 ? static_cast<std::uint32_t>(*value) : 0;
}

constexpr std::uint32_t kWidestLink = 32;  // lanes; PCI Express Base 6.0, 7.5.3.8

/// A gpuvm that was killed in the midst of a slot power cycle or a rescan leaves a function that
/// the kernel has forgotten, and perhaps a slot that is off.
Error absent_error(const HostSystem& host, const Bdf& bdf) {
  if (host.is_saved()) {
    return fail(ErrorKind::kConfig,
                "The saved host has no {}, or a link to it that leads nowhere: `gpuvm devices` "
                "with the same --snapshot or --sysfs lists what it has",
                pci_sysfs_path(bdf));
  }
  const auto record = read_device_record(host, bdf);
  if (!record || record->dirty.empty()) {
    return fail(ErrorKind::kConfig, "{} is not there; `lspci -Dnn` lists what is", bdf.to_string());
  }
  const std::string name = bdf.to_string();
  std::string power;
  for (const std::string& slot : host.list("/sys/bus/pci/slots")) {
    const std::string base = "/sys/bus/pci/slots/" + slot;
    const auto address = host.read(base + "/address");
    if (address && *address == name.substr(0, name.find('.')) &&
        host.read_number(base + "/power") == 0) {
      power = fmt::format("`echo 1 >{}/power`, ", base);
    }
  }
  return fail(
      ErrorKind::kConfig,
      "{} is not there, and gpuvm left it dirty ({}): {}`echo 1 >/sys/bus/pci/rescan`, then "
      "`gpuvm reset {}`; `lspci -Dnn` lists what is there",
      name, record->dirty, power, name);
}

// Linux, include/linux/ioport.h: flags in the attribute "resource".
constexpr std::uint64_t kResourceIo = 0x100;
constexpr std::uint64_t kResourceMemory = 0x200;
constexpr std::uint64_t kResourcePrefetch = 0x2000;
constexpr std::uint64_t kResourceMemory64 = 0x100000;
constexpr std::uint8_t kResources = 7;  // six BARs and the ROM

}  // namespace

std::string pci_sysfs_path(const Bdf& bdf, std::string_view attribute) {
  std::string path = "/sys/bus/pci/devices/" + bdf.to_string();
  if (!attribute.empty()) {
    path += '/';
    path += attribute;
  }
  return path;
}

Result<HostPciDevice> HostPciDevice::open(const HostSystem& host, const Bdf& bdf) {
  if (!host.exists(pci_sysfs_path(bdf))) {
    return absent_error(host, bdf);
  }
  PciIds ids;
  ids.vendor = static_cast<std::uint16_t>(TRY(read_id(host, bdf, "vendor")));
  ids.device = static_cast<std::uint16_t>(TRY(read_id(host, bdf, "device")));
  ids.subsystem_vendor = static_cast<std::uint16_t>(TRY(read_id(host, bdf, "subsystem_vendor")));
  ids.subsystem_device = static_cast<std::uint16_t>(TRY(read_id(host, bdf, "subsystem_device")));
  ids.class_code = TRY(read_id(host, bdf, "class"));
  return HostPciDevice(host, bdf, ids);
}

std::optional<std::string> HostPciDevice::driver() const {
  return host_->link_name(pci_sysfs_path(bdf_, "driver"));
}

std::optional<std::uint32_t> HostPciDevice::iommu_group() const {
  const auto name = host_->link_name(pci_sysfs_path(bdf_, "iommu_group"));
  if (!name) {
    return std::nullopt;
  }
  std::uint32_t group = 0;
  const char* const end = name->data() + name->size();
  const auto [stop, error] = std::from_chars(name->data(), end, group);
  return error == std::errc{} && stop == end ? std::optional(group) : std::nullopt;
}

std::vector<std::string> HostPciDevice::reset_methods() const {
  const auto text = host_->read(pci_sysfs_path(bdf_, "reset_method"));
  std::vector<std::string> methods;
  if (text) {
    std::istringstream words(*text);
    for (std::string word; words >> word;) {
      methods.push_back(word);
    }
  }
  return methods;
}

std::vector<Bdf> HostPciDevice::slot_functions() const {
  std::vector<Bdf> functions;
  for (std::uint8_t number = 0; number < 8; ++number) {
    Bdf candidate = bdf_;
    candidate.function = number;
    if (host_->exists(pci_sysfs_path(candidate))) {
      functions.push_back(candidate);
    }
  }
  return functions;
}

std::optional<Bdf> HostPciDevice::physical_function() const {
  const auto name = host_->link_name(pci_sysfs_path(bdf_, "physfn"));
  const auto parent = name ? Bdf::parse(*name) : std::nullopt;
  return parent ? std::optional(*parent) : std::nullopt;
}

std::uint64_t HostPciDevice::virtual_function_count() const {
  return host_->read_number(pci_sysfs_path(bdf_, "sriov_numvfs")).value_or(0);
}

/// Root hubs are "usb1", devices on them "1-4", interfaces "1-0:1.0".
std::vector<std::string> HostPciDevice::usb_devices() const {
  std::vector<std::string> devices;
  for (const auto& hub : host_->list(pci_sysfs_path(bdf_))) {
    if (!hub.starts_with("usb")) {
      continue;
    }
    for (const auto& name : host_->list(pci_sysfs_path(bdf_, hub))) {
      if (name.starts_with(hub.substr(3) + "-") && name.find(':') == std::string::npos) {
        devices.push_back(name);
      }
    }
  }
  return devices;
}

std::optional<std::uint32_t> HostPciDevice::numa_node() const {
  // -1 (no node) is not a number here, which is what we want.
  const auto node = host_->read_number(pci_sysfs_path(bdf_, "numa_node"));
  return node ? std::optional(static_cast<std::uint32_t>(*node)) : std::nullopt;
}

bool HostPciDevice::is_boot_vga() const {
  return host_->read_number(pci_sysfs_path(bdf_, "boot_vga")).value_or(0) == 1;
}

PciLink HostPciDevice::link() const {
  PciLink link;
  link.width = small_number(*host_, pci_sysfs_path(bdf_, "current_link_width"));
  if (link.width > kWidestLink) {
    link.width = 0;  // all ones, of a function that sleeps in D3cold
  }
  link.max_width = small_number(*host_, pci_sysfs_path(bdf_, "max_link_width"));
  if (auto speed = host_->read(pci_sysfs_path(bdf_, "current_link_speed"))) {
    link.speed = std::move(*speed);
  }
  if (auto speed = host_->read(pci_sysfs_path(bdf_, "max_link_speed"))) {
    link.max_speed = std::move(*speed);
  }
  return link;
}

Result<std::vector<PciBar>> parse_resources(const std::string& text, const std::string& path) {
  std::istringstream lines(text);
  std::vector<PciBar> bars;
  for (std::uint8_t index = 0; index < kResources; ++index) {
    std::uint64_t start = 0;
    std::uint64_t end = 0;
    std::uint64_t flags = 0;
    lines >> std::hex >> start >> end >> flags;
    if (!lines) {
      return fail(ErrorKind::kHost, "Cannot make sense of {}", path);
    }
    if ((flags & (kResourceIo | kResourceMemory)) != 0 && end > start) {
      bars.push_back({.index = index,
                      .io = (flags & kResourceIo) != 0,
                      .wide = (flags & kResourceMemory64) != 0,
                      .prefetchable = (flags & kResourcePrefetch) != 0,
                      .size = end - start + 1,
                      .address = start});
    }
  }
  return bars;
}

Result<std::vector<PciBar>> HostPciDevice::bars() const {
  const std::string name = pci_sysfs_path(bdf_, "resource");
  return parse_resources(TRY(host_->read(name)), host_->path(name));
}

std::string HostPciDevice::power_state() const {
  const auto state = host_->read(pci_sysfs_path(bdf_, "power_state"));
  return state && !state->empty() ? *state : "unknown";
}

void HostPciDevice::inspect(InspectNode& node) const {
  node.hex("vendor", ids_.vendor);
  node.hex("device", ids_.device);
  node.hex("class", ids_.class_code);
  node.field("driver", driver().value_or("none"));
  if (const auto group = iommu_group()) {
    node.field("iommu_group", std::uint64_t{*group});
  }
  std::string methods;
  for (const std::string& method : reset_methods()) {
    methods += (methods.empty() ? "" : " ") + method;
  }
  node.field("reset_method", methods.empty() ? "none" : methods);
  if (const auto node_number = numa_node()) {
    node.field("numa_node", std::uint64_t{*node_number});
  }
  node.field("boot_vga", is_boot_vga());
  node.field("power_state", power_state());
  const PciLink now = link();
  if (now.width != 0) {
    node.field("link", fmt::format("{} x{} (of {} x{})", now.speed, now.width, now.max_speed,
                                   now.max_width));
  }
}

}  // namespace gpuvm
