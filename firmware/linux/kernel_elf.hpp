// SPDX-License-Identifier: Apache-2.0
// The ELF64 form of a Linux kernel (vmlinux): which bytes go to which physical address, and where
// it starts. Linux's linker script makes e_entry the physical address of startup_64
// (phys_startup_64), which takes the 64-bit boot protocol's registers, as the kernel's own
// decompressor calls it. Specification: System V ABI, chapters 4 and 5, and its x86-64 supplement.
// Missing: the PVH entry note (a 32-bit entry that this boot path does not need), relocation.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// A part of a kernel: content goes to the start of range, the rest of range is zeroed.
struct KernelSegment {
  GuestRange range;
  std::span<const std::byte> content;  ///< at most range.size() bytes
};

struct KernelElf {
  GuestAddress entry;
  std::vector<KernelSegment> segments;  ///< at least one; they do not overlap; by address
};

/// True when the bytes start with ELF's magic number.
bool is_elf(std::span<const std::byte> bytes);

/// Examines a kernel; segments refer into `bytes`. `what` names it in errors (kConfig). Any thread.
Result<KernelElf> parse_kernel_elf(std::span<const std::byte> bytes, const std::string& what);

}  // namespace gpuvm
