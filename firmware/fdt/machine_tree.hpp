// SPDX-License-Identifier: Apache-2.0
// The flattened device tree by which the monitor hands the machine to its EFI firmware, which reads
// it with firmware/efi/machine_description.hpp. Specification: Devicetree Specification 0.4, and
// the PCI Bus Binding to IEEE 1275-1994. The binding of our own:
//
//   /memory@…            reg: RAM; gpuvm,specific-purpose: present for memory that a device lends,
//                        which the firmware only describes; numa-node-id where there are nodes
//   /reserved-memory/…   reg, gpuvm,efi-memory-type: a type of UEFI 2.10, table 7.6
//   /chosen              bootargs, rng-seed, linux,initrd-start, linux,initrd-end
//   /firmware            gpuvm,acpi-rsdp, gpuvm,smbios3-entry: addresses
//   /efi-kernel@…        compatible "gpuvm,efi-kernel"; reg: the image in memory; entry: address of
//                        the first instruction; handover: present for the EFI handover protocol;
//                        setup-header: that of boot.rst, from offset 0x1f1 on
//   /isa/…               devices at I/O ports: ns16550a, motorola,mc146818, gpuvm,reset-port
//   (value),
//                        gpuvm,acpi-pm1-control (soft-off-value), gpuvm,efi-monitor (variables)
//   /pci@…               the ECAM; below it root ports, and behind them each passed-through
//   function
//                        with compatible "gpuvm,passed-through", its BARs in assigned-addresses and
//                        gpuvm,rom: address and size of a copy of its option ROM in RAM
// Missing: CPUs (the firmware needs none of them; ACPI describes them to the kernel).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

struct TreeReserved {
  std::string name;  ///< without its address: letters, digits and "-"
  GuestRange range;
  std::uint32_t efi_type = 0;
};

/// Stands for a range that is not known yet.
inline constexpr GuestRange kNoRange = *GuestRange::create(GuestAddress(0), 1);

struct TreeKernel {
  GuestRange image = kNoRange;
  GuestAddress entry;
  bool handover = false;
  std::vector<std::byte> setup_header;
};

struct TreeBar {
  std::uint8_t index = 0;  ///< 0 to 5
  bool io = false;
  bool wide = false;  ///< 64-bit
  bool prefetchable = false;
  std::uint64_t base = 0;
  std::uint64_t size = 0;
};

struct TreeFunction {
  std::uint8_t port_devfn = 0;  ///< root port on bus 0
  std::uint8_t bus = 0;         ///< behind it
  std::uint8_t devfn = 0;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;  ///< base class, subclass, interface
  std::vector<TreeBar> bars;
  std::optional<GuestRange> rom;
};

struct TreePci {
  GuestRange ecam = kNoRange;
  unsigned buses = 1;
  std::vector<GuestRange> memory_windows;  ///< as the host bridge forwards them
  std::vector<TreeFunction> functions;     ///< those behind one port one after another
};

struct TreePorts {
  std::uint16_t serial = 0;
  std::uint16_t rtc = 0;
  std::uint16_t reset = 0;
  std::uint8_t reset_value = 0;
  std::uint16_t pm1_control = 0;
  std::uint16_t soft_off_value = 0;
  std::uint16_t monitor = 0;
};

struct TreeMemory {
  GuestRange range = kNoRange;
  std::optional<std::uint32_t> node = {};  ///< NUMA
  bool specific_purpose = false;
};

struct MachineTree {
  std::string model;
  std::vector<TreeMemory> memory;
  std::vector<TreeReserved> reserved;
  TreeKernel kernel;
  std::optional<GuestRange> initrd;
  std::string command_line;
  std::vector<std::byte> seed;  ///< random bytes; empty: none
  GuestAddress rsdp;
  GuestAddress smbios3;
  TreePorts ports;
  std::optional<GuestRange> variables;
  TreePci pci;
};

/// The tree as bytes. Errors: kInternal (a name or size that libfdt does not take).
Result<std::vector<std::byte>> build_machine_tree(const MachineTree& tree);

/// Source of a tree, as dtc reads it. Errors: kInternal (not a tree).
Result<std::string> print_tree(std::span<const std::byte> tree);

}  // namespace gpuvm
