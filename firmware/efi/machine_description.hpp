// SPDX-License-Identifier: Apache-2.0
// MachineDescription: what the monitor tells the firmware, read out of a flattened device tree
// (Devicetree Specification 0.4; binding: firmware/fdt/machine_tree.hpp, which writes it). Pointers
// lead into the tree.
#pragma once

#include "firmware/efi/uefi_types.hpp"

namespace gpuvm::efi {

struct Region {
  std::uint64_t base = 0;
  std::uint64_t size = 0;
};

struct TypedRegion {
  Region region;
  MemoryType type = MemoryType::kReserved;
};

/// A passed-through PCI function.
struct PciFunctionDescription {
  std::uint8_t bus = 0;
  std::uint8_t device = 0;
  std::uint8_t function = 0;
  Region rom;  ///< its image in RAM; size 0: none
};

struct KernelDescription {
  Region image;             ///< what the kernel must not find in use
  std::uint64_t entry = 0;  ///< address of the first instruction
  bool handover = false;    ///< EFI handover protocol; else the entry of a PE image
  const std::uint8_t* setup_header = nullptr;
  std::uint32_t setup_header_size = 0;
};

struct MachineDescription {
  static constexpr std::size_t kRamMax = 128;  ///< 64 NUMA nodes, one of them around the hole
  static constexpr std::size_t kSpecificMax = 32;
  static constexpr std::size_t kReservedMax = 32;
  static constexpr std::size_t kFunctionsMax = 64;

  Region ram[kRamMax];
  std::size_t ram_count = 0;
  Region specific[kSpecificMax];  ///< memory that devices lend: only described
  std::size_t specific_count = 0;
  TypedRegion reserved[kReservedMax];
  std::size_t reserved_count = 0;
  PciFunctionDescription functions[kFunctionsMax];
  std::size_t function_count = 0;
  KernelDescription kernel;
  Region initrd;
  const char* command_line = "";
  std::uint64_t tree_size = 0;  ///< bytes of the tree itself
  std::uint64_t rsdp = 0;
  std::uint64_t smbios3 = 0;
  std::uint64_t ecam = 0;
  std::uint16_t serial_port = 0;
  std::uint16_t rtc_port = 0;
  std::uint16_t reset_port = 0;
  std::uint8_t reset_value = 0;
  std::uint16_t pm1_control_port = 0;
  std::uint16_t soft_off_value = 0;  ///< for the PM1 control register: SLP_TYP and SLP_EN of S5
  std::uint16_t monitor_port = 0;    ///< see monitor_port.hpp
  Region variables;                  ///< a serialised variable store
  std::uint8_t* seed = nullptr;      ///< in the tree; erased by who uses it
  std::uint32_t seed_size = 0;
};

/// Reads the tree. The value is null, or what is wrong with it.
const char* read_machine_description(void* tree, MachineDescription& out);

}  // namespace gpuvm::efi
