// SPDX-License-Identifier: Apache-2.0
// CpuEntryState: registers of the boot processor at a kernel's entry, without <linux/kvm.h>. The
// room vmm/kvm turns it into its register structures. Everything not named here is 0 (all other
// general registers, debug registers, CR2, CR8) or keeps its value after INIT.
// Bits: Intel SDM volume 3, sections 2.5 (control registers) and 3.4.5 (segment descriptors).
#pragma once

#include <cstdint>

namespace gpuvm {

/// A segment register with its hidden part.
struct SegmentState {
  std::uint64_t base = 0;
  std::uint32_t limit = 0;  ///< in bytes, after the granularity is applied
  std::uint16_t selector = 0;
  std::uint8_t type = 0;        ///< SDM 3.4.5.1; bit 0 of code and data segments is "accessed"
  bool code_or_data = false;    ///< descriptor bit S; false for a task segment
  bool present = false;         ///< P
  bool long_mode = false;       ///< L
  bool default_32 = false;      ///< D/B
  bool four_kib_units = false;  ///< G
  std::uint8_t privilege = 0;   ///< DPL
};

struct DescriptorTableState {
  std::uint64_t base = 0;
  std::uint16_t limit = 0;  ///< bytes - 1
};

struct CpuEntryState {
  std::uint64_t rip = 0;
  std::uint64_t rsp = 0;
  std::uint64_t rsi = 0;
  std::uint64_t rflags = 0;
  std::uint64_t cr0 = 0;
  std::uint64_t cr3 = 0;
  std::uint64_t cr4 = 0;
  std::uint64_t efer = 0;
  SegmentState code;  ///< CS
  SegmentState data;  ///< DS, ES, FS, GS and SS
  SegmentState task;  ///< TR: VMX needs a busy TSS here in long mode (SDM volume 3, 27.3.1.2)
  DescriptorTableState gdt;
  DescriptorTableState
      idt;  ///< empty: an exception before the kernel has its own is a triple fault
};

}  // namespace gpuvm
