// SPDX-License-Identifier: Apache-2.0
#include "vmm/schema/reference_text.hpp"

__asm__(
    ".pushsection .rodata\n"
    "gpuvm_reference_start:\n"
    ".incbin \"" GPUVM_REFERENCE
    "\"\n"
    "gpuvm_reference_end:\n"
    ".popsection\n");

namespace gpuvm::schema {

extern "C" const char gpuvm_reference_start[];
extern "C" const char gpuvm_reference_end[];

std::string_view reference_text() {
  return {gpuvm_reference_start, gpuvm_reference_end};
}

}  // namespace gpuvm::schema
