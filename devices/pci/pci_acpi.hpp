// SPDX-License-Identifier: Apache-2.0
// PciAcpi: the PCI host bridge in the guest's DSDT: \_SB.PCI0 with its windows (_CRS), interrupt
// routing (_PRT), what the guest may control (_OSC), and a motherboard resource that reserves the
// ECAM (PCI Firmware 3.3, 4.1.2 and 4.5; ACPI 6.5, 6.2.13).
//
// _OSC grants control of the PCI Express capability structures, of native hot-plug where a root
// port has a slot for it, and of nothing else. SHPC, PME, AER, LTR and DPC stay with the platform:
// no root port implements them, and a guest that was granted PME or AER would ask each port for
// interrupts.
//
// There is no _DSM. Function 5 = 0 ("preserve the boot configuration") is left out on purpose:
// Linux keeps working assignments on x86 anyway, and with it refuses to resize a BAR
// (pci_resize_resource), which GPU drivers want.
#pragma once

#include <optional>
#include <vector>

#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"

namespace gpuvm {

/// A PCI interrupt pin as the Interrupt Pin register codes it, less 1: 0 is INTA#.
using InterruptPinIndex = unsigned;

/// The I/O APIC pin of a device on bus 0: 16 to 23, neighbours on different ones.
constexpr Gsi intx_gsi(std::uint8_t device, InterruptPinIndex pin) {
  constexpr std::uint32_t kFirst = 16;  // 0 to 15 are the ISA interrupts
  constexpr std::uint32_t kCount = 8;
  return Gsi(kFirst + (device + pin) % kCount);
}

/// The I/O APIC pin of a device behind a root port: bridges swizzle pins by the device number on
/// their secondary bus (PCI-to-PCI Bridge 1.2, 9.1). port_device: the port's device number on bus
/// 0.
constexpr Gsi intx_gsi_behind(std::uint8_t port_device, std::uint8_t device,
                              InterruptPinIndex pin) {
  return intx_gsi(port_device, (pin + device) % 4);
}

struct PciAcpiConfig {
  GuestRange ecam;
  unsigned buses = 256;                    ///< 1 to 256; bus 0 to buses - 1 are behind PCI0
  std::vector<PortRange> io_windows;       ///< what _CRS hands out; not 0xcf8 to 0xcff
  std::vector<GuestRange> memory_windows;  ///< below 4 GiB as dword, others as qword descriptors
  std::vector<std::uint8_t> devices;       ///< device numbers in use on bus 0 (root_devices())
  bool hot_plug = false;                   ///< a root port has a hot-plug slot
  /// _PXM (ACPI 6.5, 6.2.14): the NUMA node of all that is behind PCI0.
  std::optional<std::uint32_t> proximity_domain = {};
};

class PciAcpi : public AcpiSource {
 public:
  explicit PciAcpi(PciAcpiConfig config) : config_(std::move(config)) {}
  aml::Terms acpi() const override;

 private:
  aml::Term resources() const;
  aml::Term routing() const;
  aml::Term ecam_reservation() const;

  const PciAcpiConfig config_;
};

}  // namespace gpuvm
