// SPDX-License-Identifier: Apache-2.0
// The paths that a guest goes most often, each as one call, for micro-benchmarks and for counts of
// instructions. No KVM, no devices.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>

namespace gpuvm::bench {

struct Path {
  std::string_view name;
  std::string_view what;  ///< one call of it
  /// Makes what the path needs, which lives as long as the function that is returned: one call.
  std::function<std::function<void()>()> make;
};

/// All of them; they live for ever.
std::span<const Path> paths();

}  // namespace gpuvm::bench
