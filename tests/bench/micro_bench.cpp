// SPDX-License-Identifier: Apache-2.0
// micro_bench: times of the paths that a guest goes most often, by Google Benchmark, whose options
// it takes. scripts/bench micro runs it.
#include <benchmark/benchmark.h>

#include <string>

#include "tests/bench/paths.hpp"

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) {
    return 64;
  }
  for (const auto& path : gpuvm::bench::paths()) {
    benchmark::RegisterBenchmark(std::string(path.name).c_str(), [&path](benchmark::State& state) {
      const auto once = path.make();
      for (auto _ : state) {
        once();
      }
    });
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
