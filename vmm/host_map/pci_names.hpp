// SPDX-License-Identifier: Apache-2.0
// PciNames: names of vendors, devices and classes out of the list of the PCI ID project, pci.ids(5)
// (packages pci.ids and hwdata), as lspci prints them. Missing: names of subsystems and of
// programming interfaces.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// Where Debian, and where Fedora and others have the list.
constexpr std::string_view kPciIdPaths[] = {"/usr/share/misc/pci.ids", "/usr/share/hwdata/pci.ids"};

/// Any thread once it is made.
class PciNames {
 public:
  PciNames() = default;
  /// Lines that make no sense are passed over.
  explicit PciNames(std::string_view text);
  /// The host's list; empty where it has none.
  static PciNames of_host(const HostSystem& host);

  bool is_empty() const { return vendors_.empty() && classes_.empty(); }
  /// "VGA compatible controller", "Display controller", or "Class" for one without a name.
  std::string class_name(std::uint32_t class_code) const;
  /// "NVIDIA Corporation GP104 [GeForce GTX 1080]", "NVIDIA Corporation Device", or "Device".
  std::string device_name(const PciIds& ids) const;

  /// The lines of the list that name these, as such a list.
  std::string excerpt(std::span<const PciIds> ids) const;

 private:
  std::map<std::uint16_t, std::string> vendors_;
  std::map<std::uint32_t, std::string> devices_;  ///< vendor << 16 | device
  std::map<std::uint8_t, std::string> classes_;
  std::map<std::uint16_t, std::string> subclasses_;  ///< class << 8 | sub-class
};

}  // namespace gpuvm
