// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/cpu_topology.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

namespace gpuvm {
namespace {

constexpr std::uint32_t kLastXapicId = 254;  // 255 is everybody

/// Linux takes APIC id >> 3 for the last cache of AMD's family 17h up to model 1fh and of Hygon's,
/// whatever CPUID says (cacheinfo_amd_init_llc_id): packages that are nearer to each other than
/// that share one in its eyes.
constexpr unsigned kZenCacheBits = 3;

/// Bits of a number below `count`.
unsigned bits_for(std::uint32_t count) {
  return static_cast<unsigned>(std::bit_width(count - 1));
}

bool fits(std::uint32_t packages, std::uint32_t cores, unsigned core_bits) {
  return ((packages - 1) << core_bits) + cores - 1 <= kLastXapicId;
}

std::vector<std::vector<unsigned>> by_lowest_cpu(std::vector<std::vector<unsigned>> packages) {
  std::erase_if(packages, [](const auto& cpus) { return cpus.empty(); });
  for (auto& cpus : packages) {
    std::sort(cpus.begin(), cpus.end());
  }
  std::sort(packages.begin(), packages.end());
  return packages;
}

}  // namespace

CpuTopology CpuTopology::one_package(std::uint32_t cpus) {
  CpuTopology topology;
  topology.apic_ids_.resize(cpus);
  std::iota(topology.apic_ids_.begin(), topology.apic_ids_.end(), 0U);
  topology.cores_per_package_ = cpus;
  topology.core_id_bits_ = bits_for(cpus);
  return topology;
}

CpuTopology CpuTopology::of_packages(const std::vector<std::vector<unsigned>>& packages) {
  const auto sorted = by_lowest_cpu(packages);
  std::size_t cpus = 0;
  std::size_t most = 1;
  for (const auto& package : sorted) {
    cpus += package.size();
    most = std::max(most, package.size());
  }
  const auto count = static_cast<std::uint32_t>(sorted.size());
  const auto cores = static_cast<std::uint32_t>(most);
  const unsigned narrow = bits_for(cores);
  const unsigned wide = std::max(narrow, kZenCacheBits);
  if (count <= 1 || !fits(count, cores, narrow)) {
    return one_package(static_cast<std::uint32_t>(cpus));
  }
  CpuTopology topology;
  topology.packages_ = count;
  topology.cores_per_package_ = cores;
  topology.core_id_bits_ = fits(count, cores, wide) ? wide : narrow;
  topology.apic_ids_.resize(cpus);
  for (std::uint32_t package = 0; package < count; ++package) {
    for (std::uint32_t core = 0; core < sorted[package].size(); ++core) {
      topology.apic_ids_.at(sorted[package][core]) = package << topology.core_id_bits_ | core;
    }
  }
  return topology;
}

}  // namespace gpuvm
