// SPDX-License-Identifier: Apache-2.0
// Makes what a bzImage has inside: an ELF file with relocations after it, compressed as Linux's
// build does.
#pragma once

#include "firmware/linux/kernel_payload.hpp"
#include "firmware/linux/kernel_relocations.hpp"
#include "tests/unit/firmware/linux/kernel_builder.hpp"

namespace gpuvm::test {

/// `elf` with an empty table of sections and these lists; two of them where subtract_32 is empty.
Bytes with_relocations(Bytes elf, const KernelRelocations& relocations);
/// By the compressors' own libraries, with the size behind it.
Bytes pack(KernelPayload::Format format, const Bytes& bytes);

}  // namespace gpuvm::test
