// SPDX-License-Identifier: Apache-2.0
// Unpacks the kernel of a bzImage into guest memory, in the place of the kernel's own decompressor,
// which would do it in the guest with one vCPU, page by page. The steps and their order are its own
// (arch/x86/boot/compressed/misc.c, extract_kernel): unpack to the place where the kernel will be,
// move the segments of the ELF file there to their offsets, relocate. Nothing of it is in this
// process's memory but the relocations.
// Missing: 5-level paging, which a kernel's own decompressor would switch on: it runs with four.
#pragma once

#include "firmware/linux/kernel_place.hpp"
#include "firmware/linux/linux_image.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

struct UnpackedKernel {
  GuestAddress entry;          ///< startup_64, for the 64-bit boot protocol
  GuestRange range;            ///< init_size bytes from where it lies
  bool is_randomised = false;  ///< its virtual addresses
};

/// `image` has a payload. While no vCPU runs; what else has the memory (a device) may spoil the
/// kernel, and nothing of ours. Errors: kConfig naming the kernel; kHost; the memory is then in no
/// defined state.
Result<UnpackedKernel> unpack_kernel(const GuestMemory& memory, const LinuxImage& image,
                                     const KernelChoice& choice);

}  // namespace gpuvm
