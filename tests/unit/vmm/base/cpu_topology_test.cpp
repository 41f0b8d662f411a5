// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/cpu_topology.hpp"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace gpuvm::cpu_topology_test {
namespace {

std::vector<std::uint32_t> ids(const CpuTopology& topology) {
  return {topology.apic_ids().begin(), topology.apic_ids().end()};
}

TEST(CpuTopology, OnePackageNumbersAsTheVcpus) {
  const auto topology = CpuTopology::one_package(3);
  EXPECT_EQ(ids(topology), (std::vector<std::uint32_t>{0, 1, 2}));
  EXPECT_EQ(topology.packages(), 1U);
  EXPECT_EQ(topology.cores_per_package(), 3U);
  EXPECT_EQ(topology.core_id_bits(), 2U);
  EXPECT_EQ(CpuTopology::one_package(1).core_id_bits(), 0U);
}

TEST(CpuTopology, ListsOfAllOrOfNobodyAreOnePackage) {
  const auto topology = CpuTopology::of_packages({{}, {0, 1, 2}, {}});
  EXPECT_EQ(topology.packages(), 1U);
  EXPECT_EQ(ids(topology), (std::vector<std::uint32_t>{0, 1, 2}));
}

// Linux, cacheinfo_amd_init_llc_id: APIC id >> 3 is the last cache of AMD's first Zens.
TEST(CpuTopology, SmallPackagesAreEightIdsApart) {
  const auto topology = CpuTopology::of_packages({{0}, {1}});
  EXPECT_EQ(ids(topology), (std::vector<std::uint32_t>{0, 8}));
  EXPECT_EQ(topology.core_id_bits(), 3U);
  EXPECT_EQ(topology.cores_per_package(), 1U);
}

TEST(CpuTopology, CoresNeedNotBeConsecutiveAndVcpuZeroHasIdZero) {
  const auto topology = CpuTopology::of_packages({{1, 3, 5}, {2, 0}, {4}});
  EXPECT_EQ(ids(topology), (std::vector<std::uint32_t>{0, 8, 1, 9, 16, 10}));
  EXPECT_EQ(topology.packages(), 3U);
  EXPECT_EQ(topology.cores_per_package(), 3U);
  EXPECT_EQ(topology.package(3), 1U);
  EXPECT_EQ(topology.core(3), 1U);
  EXPECT_EQ(topology.package(4), 2U);
}

TEST(CpuTopology, LargePackagesHaveRoomForTheLargest) {
  std::vector<unsigned> large(33);
  std::iota(large.begin(), large.end(), 0U);
  const auto topology = CpuTopology::of_packages({large, {33, 34}});
  EXPECT_EQ(topology.core_id_bits(), 6U);
  EXPECT_EQ(topology.apic_id(34), 65U);
}

/// `count` packages of `cores` vCPUs each.
CpuTopology even(unsigned count, unsigned cores) {
  std::vector<std::vector<unsigned>> packages(count);
  for (unsigned cpu = 0; cpu < count * cores; ++cpu) {
    packages[cpu % count].push_back(cpu);
  }
  return CpuTopology::of_packages(packages);
}

TEST(CpuTopology, ManySmallPackagesMoveTogether) {
  EXPECT_EQ(even(32, 2).core_id_bits(), 3U);
  EXPECT_EQ(even(32, 2).apic_id(63), 249U);
  EXPECT_EQ(even(64, 1).core_id_bits(), 0U) << "64 times 8 are too many";
  EXPECT_EQ(even(64, 1).packages(), 64U);
}

// An APIC id of 255 addresses everybody (SDM volume 3, 11.6.2).
TEST(CpuTopology, OnePackageWhereIdsWouldBeTooHigh) {
  std::vector<std::vector<unsigned>> packages(32);
  for (unsigned cpu = 0; cpu < 64; ++cpu) {
    packages[cpu < 33 ? 0 : 1 + (cpu - 33) % 31].push_back(cpu);
  }
  const auto topology = CpuTopology::of_packages(packages);
  EXPECT_EQ(topology.packages(), 1U);
  EXPECT_EQ(topology.cores_per_package(), 64U);
  EXPECT_EQ(topology.apic_id(63), 63U);
  const auto most = even(16, 16);  // 255 is the last one's
  EXPECT_EQ(most.packages(), 1U);
}

TEST(CpuTopology, IdsAreOfOneVcpuEach) {
  for (const auto& topology : {even(2, 3), even(5, 4), even(3, 21), even(64, 1)}) {
    const auto all = ids(topology);
    EXPECT_EQ(std::set(all.begin(), all.end()).size(), all.size());
    for (std::uint32_t cpu = 0; cpu < topology.cpus(); ++cpu) {
      EXPECT_EQ(topology.package(cpu), cpu % topology.packages());
    }
  }
}

}  // namespace
}  // namespace gpuvm::cpu_topology_test
