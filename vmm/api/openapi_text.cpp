// SPDX-License-Identifier: Apache-2.0
// docs/openapi.json inside of the program.
#include "vmm/api/router.hpp"

__asm__(
    ".pushsection .rodata\n"
    "gpuvm_openapi_start:\n"
    ".incbin \"" GPUVM_OPENAPI_FILE
    "\"\n"
    "gpuvm_openapi_end:\n"
    ".popsection\n");

namespace gpuvm {

extern "C" const char gpuvm_openapi_start[];
extern "C" const char gpuvm_openapi_end[];

std::string_view openapi_text() {
  return {gpuvm_openapi_start, static_cast<std::size_t>(gpuvm_openapi_end - gpuvm_openapi_start)};
}

}  // namespace gpuvm
