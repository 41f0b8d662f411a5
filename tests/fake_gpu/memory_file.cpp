// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/memory_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace gpuvm::fake_gpu {

Result<UniqueFd> memory_file(const std::string& path, std::uint64_t size) {
  UniqueFd file(path.empty() ? ::memfd_create("fake-vram", MFD_CLOEXEC | MFD_ALLOW_SEALING)
                             : ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(size)) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make memory of the GPU");
  }
  return file;
}

}  // namespace gpuvm::fake_gpu
