// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a kernel file for the EFI handover mode, and what is left of it copied into memory.
// The corpus is what tests/unit/firmware/efi/kernel_bytes.hpp makes, with and without a handover
// entry.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "firmware/efi/efi_kernel.hpp"
#include "vmm/base/units.hpp"

namespace {

using gpuvm::EfiKernel;
using gpuvm::operator""_MiB;

void check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto kernel = EfiKernel::parse({bytes.begin(), bytes.end()}, "fuzz");
  if (!kernel) {
    check(kernel.error().kind() == gpuvm::ErrorKind::kConfig);
    return 0;
  }
  check(kernel->entry_offset() < kernel->memory_size());
  check(kernel->memory_size() <= 1024_MiB);
  if (kernel->memory_size() <= 4_MiB) {  // more says no more, and takes long
    std::vector<std::byte> memory(kernel->memory_size());
    kernel->copy_to(memory);
  }
  return 0;
}
