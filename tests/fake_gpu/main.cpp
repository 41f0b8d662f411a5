// SPDX-License-Identifier: Apache-2.0
// A fake GPU as a process: see usage().
#include <cstdio>
#include <span>

#include "tests/fake_gpu/gpu_server.hpp"

int main(int argc, char** argv) {
  const auto options =
      gpuvm::fake_gpu::parse_options(std::span(argv, static_cast<std::size_t>(argc)).subspan(1));
  if (!options) {
    std::fputs(gpuvm::fake_gpu::usage().c_str(), stderr);
    return gpuvm::exit_status(gpuvm::ErrorKind::kUsage);
  }
  gpuvm::fake_gpu::GpuServer server(*options);
  auto status = server.listen();
  if (status) {
    status = server.run();
  }
  if (!status) {
    std::fprintf(stderr, "fake_gpu: %s\n", status.error().to_string().c_str());
    return gpuvm::exit_status(status.error().kind());
  }
  return 0;
}
