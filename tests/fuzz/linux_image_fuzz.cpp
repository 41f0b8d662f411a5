// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a kernel file, parsed and, if it is one, loaded into a small guest: as it is, and
// unpacked by gpuvm where it has what that takes.
// libFuzzer's entry point, so that it also runs under clang -fsanitize=fuzzer; see replay_main.cpp
// for g++.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "firmware/linux/linux_boot.hpp"
#include "firmware/linux/linux_image.hpp"

namespace {

using gpuvm::GuestMemory;
using gpuvm::LinuxImage;

void check(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void try_kernel(std::span<const std::byte> bytes) {
  const auto image = LinuxImage::parse({bytes.begin(), bytes.end()}, "fuzz");
  if (!image) {
    check(image.error().kind() == gpuvm::ErrorKind::kConfig);
    return;
  }
  // What a taken file promises to the loader.
  for (const auto& segment : image->segments()) {
    check(segment.content.size() <= segment.range.size());
    check(image->range().contains(segment.range.base(), segment.range.size()));
  }
  check(image->range().contains(image->entry()));
  check(image->range().last().value() < std::uint64_t{1} << 32);
  const auto memory = GuestMemory::create({.size = std::uint64_t{64} << 20});
  check(memory.has_value());
  gpuvm::LinuxBootOptions options;
  options.kernel = &*image;
  options.command_line = "console=ttyS0";
  const auto state = gpuvm::load_linux(*memory, options);
  check(state.has_value() ? state->rip == image->entry().value()
                          : state.error().kind() == gpuvm::ErrorKind::kConfig);
  if (image->payload() == nullptr) {
    return;
  }
  options.unpacks = true;
  options.random = [&bytes](std::uint64_t limit) -> gpuvm::Result<std::uint64_t> {
    return bytes.size() % limit;
  };
  const auto unpacked = gpuvm::load_linux(*memory, options);
  check(unpacked.has_value() ? memory->slice(gpuvm::GuestAddress(unpacked->rip), 1).has_value()
                             : unpacked.error().kind() == gpuvm::ErrorKind::kConfig);
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  try_kernel(bytes);
  return 0;
}
