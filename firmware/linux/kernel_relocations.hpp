// SPDX-License-Identifier: Apache-2.0
// KernelRelocations: the lists of places in a kernel that change when it runs at other virtual
// addresses than those it was linked for, which its build appends to the ELF file.
// Specification: there is none but Linux itself: arch/x86/tools/relocs.c writes them, and
// arch/x86/boot/compressed/misc.c (handle_relocations) reads them. After the ELF file come a zero,
// the places of 64-bit values, a zero, then up to Linux 6.14 the places of values from which the
// distance is taken away (per-CPU ones) and a zero, and the places of 32-bit values. A place is the
// low half of a virtual address of the kernel's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct KernelRelocations {
  std::vector<std::uint32_t> add_64;
  std::vector<std::uint32_t> subtract_32;
  std::vector<std::uint32_t> add_32;

  bool empty() const { return add_64.empty() && subtract_32.empty() && add_32.empty(); }
};

/// Of what follows the ELF file; empty where nothing does: the kernel cannot be moved. `path` names
/// it in errors (kConfig). Any thread.
Result<KernelRelocations> read_kernel_relocations(std::span<const std::byte> bytes,
                                                  const std::string& path);

/// Moves the kernel in `image` by `distance` bytes of virtual addresses; image[0] is what was
/// linked for physical address `linked_at`. Errors: kConfig: a place lies outside the image.
Status relocate_kernel(std::span<std::byte> image, const KernelRelocations& relocations,
                       std::uint64_t linked_at, std::uint64_t distance, const std::string& path);

}  // namespace gpuvm
