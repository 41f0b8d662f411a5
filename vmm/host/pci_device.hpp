// SPDX-License-Identifier: Apache-2.0
// HostPciDevice: one PCI function of the host as sysfs shows it (Linux,
// Documentation/ABI/testing/sysfs-bus-pci).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// "/sys/bus/pci/devices/0000:01:00.0", with an optional attribute appended.
std::string pci_sysfs_path(const Bdf& bdf, std::string_view attribute = {});

struct PciIds {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint16_t subsystem_vendor = 0;
  std::uint16_t subsystem_device = 0;
  std::uint32_t class_code = 0;  ///< 24 bits: base class, sub-class, interface
};

/// A BAR, or with index 6 the expansion ROM.
struct PciBar {
  std::uint8_t index = 0;
  bool io = false;
  bool wide = false;  ///< 64-bit
  bool prefetchable = false;
  std::uint64_t size = 0;     ///< bytes
  std::uint64_t address = 0;  ///< the host's
};

struct PciLink {
  std::string speed;  ///< as sysfs says it: "8.0 GT/s PCIe"; empty: no link
  std::uint32_t width = 0;
  std::string max_speed;
  std::uint32_t max_width = 0;
};

/// Of a function's attribute "resource": one line a resource, start, end (inclusive) and flags,
/// zeros for none. Those to which the kernel has given an address. `path` is its name in messages.
/// Errors: kHost.
Result<std::vector<PciBar>> parse_resources(const std::string& text, const std::string& path);

/// Identity is read once in open(); everything that can change is read at each call. Any thread.
class HostPciDevice : public Inspectable {
 public:
  /// Errors: kConfig where there is no such function (the configuration names it), kHost where
  /// sysfs cannot be read. `host` must outlive the object.
  static Result<HostPciDevice> open(const HostSystem& host, const Bdf& bdf);

  const Bdf& bdf() const { return bdf_; }
  const PciIds& ids() const { return ids_; }
  /// Class 0604: PCI-to-PCI bridges stay with the host.
  bool is_bridge() const { return ids_.class_code >> 8 == 0x0604; }
  bool is_display() const { return ids_.class_code >> 16 == 0x03; }
  std::optional<std::string> driver() const;
  std::optional<std::uint32_t> iommu_group() const;
  /// The kernel's reset methods in the order in which it tries them; empty: none.
  std::vector<std::string> reset_methods() const;
  std::vector<Bdf> slot_functions() const;  ///< this one included, sorted
  /// Set for a virtual function (SR-IOV): the one that it belongs to.
  std::optional<Bdf> physical_function() const;
  /// How many virtual functions it has now.
  std::uint64_t virtual_function_count() const;
  /// What is plugged into a USB controller that the host drives, as the kernel names it: "1-4".
  std::vector<std::string> usb_devices() const;
  std::optional<std::uint32_t> numa_node() const;
  bool is_boot_vga() const;
  PciLink link() const;
  /// Those to which the kernel has given an address. Errors: kHost where sysfs does not say.
  Result<std::vector<PciBar>> bars() const;
  /// "D0", "D3hot", "D3cold", "unknown"; "unknown" where the kernel does not say.
  std::string power_state() const;
  void inspect(InspectNode& node) const override;

 private:
  HostPciDevice(const HostSystem& host, const Bdf& bdf, const PciIds& ids)
      : host_(&host), bdf_(bdf), ids_(ids) {}

  const HostSystem* host_;
  Bdf bdf_;
  PciIds ids_;
};

}  // namespace gpuvm
