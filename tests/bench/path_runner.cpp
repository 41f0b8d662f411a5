// SPDX-License-Identifier: Apache-2.0
// path_runner [PATH COUNT]: goes a path so many times, for a tool that counts instructions; without
// arguments it prints a line for each path.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/bench/paths.hpp"

int main(int argc, char** argv) {
  for (const auto& path : gpuvm::bench::paths()) {
    if (argc == 1) {
      std::printf("%s\t%s\n", path.name.data(), path.what.data());
    } else if (argc == 3 && path.name == argv[1]) {
      const auto once = path.make();
      for (long count = std::strtol(argv[2], nullptr, 10); count > 0; --count) {
        once();
      }
      return 0;
    }
  }
  return argc == 1 ? 0 : 64;
}
