// SPDX-License-Identifier: Apache-2.0
// Writes the seed corpus of linux_image_fuzz into a directory: small kernels of every kind. Run it
// when the builder in tests/unit/firmware/linux changes: linux_image_seeds
// tests/fuzz/corpus/linux_image
#include <cstdio>
#include <fstream>
#include <string>

#include "tests/unit/firmware/linux/packed_kernel.hpp"

namespace {

bool write(const std::string& path, const gpuvm::test::Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  return file.good();
}

/// A few bytes of code and a page of zeroes.
gpuvm::test::Bytes small_kernel() {
  return gpuvm::test::make_elf({{0x1000000, gpuvm::test::to_bytes("code of a kernel"), 0x2000}},
                               0x1000000);
}

/// With a place to be relocated in its text.
gpuvm::test::Bytes packed_kernel(gpuvm::KernelPayload::Format format) {
  const gpuvm::KernelRelocations places{
      .add_64 = {0x81000000}, .subtract_32 = {0x81000008}, .add_32 = {0x8100000c}};
  return gpuvm::test::make_bzimage(
      gpuvm::test::pack(format, gpuvm::test::with_relocations(small_kernel(), places)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "Usage: %s DIRECTORY\n", argv[0]);
    return 64;
  }
  const std::string directory = argv[1];
  using Format = gpuvm::KernelPayload::Format;
  const bool good =
      write(directory + "/vmlinux", small_kernel()) &&
      write(directory + "/bzimage", gpuvm::test::make_bzimage(gpuvm::test::make_payload())) &&
      write(directory + "/gzip", packed_kernel(Format::kGzip)) &&
      write(directory + "/xz", packed_kernel(Format::kXz)) &&
      write(directory + "/zstd", packed_kernel(Format::kZstd)) &&
      write(directory + "/lz4", packed_kernel(Format::kLz4));
  return good ? 0 : 1;
}
