// SPDX-License-Identifier: Apache-2.0
// Names of CPUID feature bits as /proc/cpuinfo writes them, as tables.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "vmm/kvm/cpuid.hpp"

namespace gpuvm {

/// 32 feature names of one CPUID register, bit 0 first; "" for a bit without a name.
struct FeatureWord {
  std::uint32_t leaf;
  std::uint32_t subleaf;
  CpuidRegister where;
  std::array<std::string_view, 32> names;
};

/// What cannot work without a feature: hiding the first hides the second.
struct FeatureDependency {
  std::string_view needed;
  std::string_view dependent;
};

std::span<const FeatureWord> feature_words();
std::span<const FeatureDependency> feature_dependencies();

}  // namespace gpuvm
