// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/cpuid.hpp"

#include <gtest/gtest.h>

#include <set>

#include "vmm/kvm/cpu_features.hpp"

namespace gpuvm::cpuid_test {
namespace {

using Reg = CpuidRegister;

/// A small host: AMD-like, with leaf 0xb, caches and XSAVE.
std::vector<CpuidEntry> host() {
  return {
      {0x1, 0, false, {0x800f12, 0x0c100800, 0xffffffff, 0xffffffff}},
      {0x4, 3, true, {0x3c1fc163, 0, 0, 0}},
      {0x6, 0, false, {0xffff, 0xffff, 0xffff, 0}},
      {0x7, 0, true, {1, 0xffffffff, 0xffffffff, 0xffffffff}},
      {0xa, 0, false, {0x07300403, 0, 0, 0x603}},
      {0xb, 0, true, {1, 2, 0x100, 5}},
      {0xb, 1, true, {4, 12, 0x201, 5}},
      {0xd, 0, true, {7, 576, 832, 0}},
      {0xd, 1, true, {0xf, 0, 0, 0}},
      {0x40000000, 0, false, {0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d}},  // "KVMKVMKVM"
      {0x40000001, 0, false, {0x01007efb, 0, 0, 0}},
      {0x80000001, 0, false, {0, 0, 0xffffffff, 0xffffffff}},
      {0x80000008, 0, false, {0x3028, 0xffffffff, 0x700b, 0}},
      {0x8000001d, 3, true, {0x14163, 0, 0, 0}},
      {0x8000001e, 0, false, {9, 0x104, 0x300, 0}},
  };
}

CpuTopology one(std::uint32_t cpus) {
  return CpuTopology::one_package(cpus);
}

const CpuidEntry* find(const std::vector<CpuidEntry>& entries, std::uint32_t leaf,
                       std::uint32_t subleaf = 0) {
  for (const auto& entry : entries) {
    if (entry.leaf == leaf && (!entry.indexed || entry.subleaf == subleaf)) {
      return &entry;
    }
  }
  return nullptr;
}

// Linux Documentation/virt/kvm/x86/cpuid.rst: signature and features at 0x40000000.
TEST(Cpuid, HypervisorIsShownHiddenOrBehindHyperV) {
  const auto view = [](const HypervisorView& wanted) {
    auto entries = host();
    EXPECT_TRUE(show_hypervisor(entries, wanted));
    return guest_cpuid(entries, 0, one(1));
  };
  const auto bit_31 = [](const std::vector<CpuidEntry>& entries) {
    return (*find(entries, 1))[Reg::kEcx] >> 31;
  };
  const auto plain = view({});
  EXPECT_EQ((*find(plain, 0x40000000))[Reg::kEbx], 0x4b4d564bU);
  EXPECT_EQ(bit_31(plain), 1U);

  const auto hidden = view({.hidden = true});
  EXPECT_EQ(find(hidden, 0x40000000), nullptr);
  EXPECT_EQ(find(hidden, 0x40000001), nullptr);
  EXPECT_EQ(bit_31(hidden), 0U);

  // TLFS 2.4: "Hv#1" at 0x40000001, at least five leaves; KVM's move by 0x100.
  const auto both = view({.hyperv_vendor_id = "GPUVM"});
  EXPECT_EQ((*find(both, 0x40000000))[Reg::kEax], 0x40000005U);
  EXPECT_EQ((*find(both, 0x40000000))[Reg::kEbx], 0x56555047U);
  EXPECT_EQ((*find(both, 0x40000000))[Reg::kEcx], 0x4dU);
  EXPECT_EQ((*find(both, 0x40000001))[Reg::kEax], 0x31237648U);
  EXPECT_EQ((*find(both, 0x40000100))[Reg::kEax], 0x40000101U);
  EXPECT_EQ((*find(both, 0x40000100))[Reg::kEbx], 0x4b4d564bU);
  EXPECT_EQ((*find(both, 0x40000101))[Reg::kEax], 0x01007efbU);
  EXPECT_EQ(bit_31(both), 1U);

  const auto hyperv = view({.hidden = true, .hyperv_vendor_id = "exactly12chr"});
  EXPECT_EQ((*find(hyperv, 0x40000000))[Reg::kEdx], 0x72686332U);
  EXPECT_EQ(find(hyperv, 0x40000100), nullptr);
  EXPECT_EQ(bit_31(hyperv), 1U);
}

// TLFS 2.4: 0x40000003 EAX and EDX, 0x40000004 EAX and EBX.
TEST(Cpuid, HyperVEnlightenments) {
  auto entries = host();
  const std::vector<std::string> names = {"vapic", "time", "frequencies", "spinlocks", "ipi"};
  ASSERT_TRUE(show_hypervisor(entries, {.hidden = true, .hyperv = names}));
  EXPECT_EQ((*find(entries, 0x40000000))[Reg::kEbx], 0x7263694dU);  // "Micr"
  EXPECT_EQ((*find(entries, 0x40000003))[Reg::kEax], 0xa72U);       // 1, 4, 5, 6, 9, 11
  EXPECT_EQ((*find(entries, 0x40000003))[Reg::kEdx], 0x100U);
  EXPECT_EQ((*find(entries, 0x40000004))[Reg::kEax], 0xc28U);  // 3, 5, 10, 11
  EXPECT_EQ((*find(entries, 0x40000004))[Reg::kEbx], 0x1fffU);
  const std::vector<std::string> wrong = {"stimer"};
  const auto status = show_hypervisor(entries, {.hyperv = wrong});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(status.error().message().find("relaxed, vapic"), std::string::npos);
}

TEST(Cpuid, HyperVThatKvmDoesNotServe) {
  auto entries = host();
  EXPECT_TRUE(check_hyperv(entries, {})) << "none is shown";
  const std::vector<std::string> names = {"time"};
  ASSERT_TRUE(show_hypervisor(entries, {.hyperv = names}));
  const std::vector<CpuidEntry> all = {{0x40000003, 0, false, {~0U, ~0U, ~0U, ~0U}},
                                       {0x40000004, 0, false, {~0U, ~0U, ~0U, ~0U}}};
  EXPECT_TRUE(check_hyperv(entries, all));
  auto without = all;
  without[0][Reg::kEax] = ~(1U << 9);  // no TSC page
  const auto status = check_hyperv(entries, without);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
  EXPECT_NE(status.error().message().find("\"time\""), std::string::npos);
}

TEST(Cpuid, EveryCpuHasItsOwnApicIdEverywhere) {
  for (const std::uint32_t count : {1U, 2U, 3U, 64U, 255U}) {
    for (std::uint32_t index = 0; index < count; ++index) {
      const auto cpuid = guest_cpuid(host(), index, one(count));
      EXPECT_EQ((*find(cpuid, 1))[Reg::kEbx] >> 24, index);
      EXPECT_EQ((*find(cpuid, 0xb, 0))[Reg::kEdx], index);
      EXPECT_EQ((*find(cpuid, 0xb, 1))[Reg::kEdx], index);
      EXPECT_EQ((*find(cpuid, 0x8000001e))[Reg::kEax], index);
    }
  }
}

// Intel SDM: the core level's shift must cover all APIC IDs, its EBX is the number of logical
// processors.
TEST(Cpuid, CoreLevelCoversAllCpus) {
  for (const std::uint32_t count : {1U, 2U, 3U, 5U, 64U, 255U}) {
    const auto cpuid = guest_cpuid(host(), 0, one(count));
    const auto& core = *find(cpuid, 0xb, 1);
    EXPECT_EQ(core[Reg::kEbx], count);
    EXPECT_GE(1U << (core[Reg::kEax] & 0x1f), count);
    EXPECT_EQ((core[Reg::kEcx] >> 8) & 0xff, 2U);
    EXPECT_EQ((*find(cpuid, 0x80000008))[Reg::kEcx] & 0xff, count - 1);
  }
}

// vCPUs 0 and 2 are one package, 1, 3 and 4 the other, whose APIC IDs begin at 8.
TEST(Cpuid, PackagesAreApartInEveryLeaf) {
  const auto topology = CpuTopology::of_packages({{0, 2}, {1, 3, 4}});
  const std::vector<std::uint32_t> ids = {0, 8, 1, 9, 10};
  for (std::uint32_t cpu = 0; cpu < ids.size(); ++cpu) {
    const auto cpuid = guest_cpuid(host(), cpu, topology);
    EXPECT_EQ((*find(cpuid, 1))[Reg::kEbx] >> 16, ids[cpu] << 8 | 3) << "3 in the larger package";
    EXPECT_EQ((*find(cpuid, 0xb, 0))[Reg::kEdx], ids[cpu]);
    EXPECT_EQ((*find(cpuid, 0xb, 1))[Reg::kEdx], ids[cpu]);
    EXPECT_EQ((*find(cpuid, 0xb, 1))[Reg::kEax], 3U) << "the package is the id's bits from 3 on";
    EXPECT_EQ((*find(cpuid, 0xb, 1))[Reg::kEbx], 3U);
    // Intel SDM, leaf 4: cores and sharing less one, cores rounded up. AMD APM, 0x8000001d:
    // sharing.
    EXPECT_EQ((*find(cpuid, 4, 3))[Reg::kEax] >> 26, 3U);
    EXPECT_EQ((*find(cpuid, 4, 3))[Reg::kEax] >> 14 & 0xfff, 2U);
    EXPECT_EQ((*find(cpuid, 0x8000001d, 3))[Reg::kEax] >> 14 & 0xfff, 2U);
    // AMD APM: bits of the core's number, cores less one.
    EXPECT_EQ((*find(cpuid, 0x80000008))[Reg::kEcx], 0x3002U);
    EXPECT_EQ((*find(cpuid, 0x8000001e))[Reg::kEax], ids[cpu]);
    EXPECT_EQ((*find(cpuid, 0x8000001e))[Reg::kEbx], ids[cpu] & 7) << "the core in its package";
    EXPECT_EQ((*find(cpuid, 0x8000001e))[Reg::kEcx], ids[cpu] >> 3) << "AMD's node: the package";
    EXPECT_EQ(find(cpuid, 0x1f), nullptr) << "0xb has it all";
  }
}

TEST(Cpuid, HyperThreadingBitFollowsTheCount) {
  EXPECT_EQ((*find(guest_cpuid(host(), 0, one(1)), 1))[Reg::kEdx] & (1U << 28), 0U);
  EXPECT_NE((*find(guest_cpuid(host(), 0, one(2)), 1))[Reg::kEdx] & (1U << 28), 0U);
}

TEST(Cpuid, GuestSeesAHypervisorAndNoNestingNorPmu) {
  auto fixed = host();
  fix_features(fixed);
  const auto cpuid = guest_cpuid(fixed, 0, one(1));
  EXPECT_NE((*find(cpuid, 1))[Reg::kEcx] & (1U << 31), 0U);
  EXPECT_EQ((*find(cpuid, 1))[Reg::kEcx] & (1U << 5), 0U);
  EXPECT_EQ((*find(cpuid, 0x80000001))[Reg::kEcx] & (1U << 2), 0U);
  EXPECT_EQ((*find(cpuid, 0xa))[Reg::kEax], 0U);
}

TEST(Cpuid, HidingXsaveHidesWhatNeedsIt) {
  auto entries = host();
  const std::vector<std::string> names = {"xsave"};
  ASSERT_TRUE(hide_features(entries, names));
  EXPECT_EQ((*find(entries, 1))[Reg::kEcx] & ((1U << 26) | (1U << 27) | (1U << 28) | (1U << 12)),
            0U);
  EXPECT_EQ((*find(entries, 7))[Reg::kEbx] & ((1U << 5) | (1U << 16) | (1U << 31)), 0U)
      << "avx2, avx512f, avx512vl";
  EXPECT_EQ((*find(entries, 7))[Reg::kEcx] & (1U << 3), 0U) << "pku";
  EXPECT_EQ(find(entries, 0xd), nullptr);
  EXPECT_NE((*find(entries, 7))[Reg::kEbx] & (1U << 3), 0U) << "bmi1 stays";
}

TEST(Cpuid, WhatKvmEmulatesCanBeHiddenToo) {
  auto entries = host();
  (*const_cast<CpuidEntry*>(find(entries, 1)))[Reg::kEcx] = 0;
  fix_features(entries);
  constexpr std::uint32_t kBoth = 1U << 21 | 1U << 24;  // x2APIC, TSC deadline timer
  EXPECT_EQ((*find(entries, 1))[Reg::kEcx] & kBoth, kBoth);
  const std::vector<std::string> names = {"x2apic", "tsc_deadline_timer"};
  ASSERT_TRUE(hide_features(entries, names));
  EXPECT_EQ((*find(guest_cpuid(entries, 0, one(2)), 1))[Reg::kEcx] & kBoth, 0U);
}

TEST(Cpuid, WhatFollowsFromTheMachineIsNotHidden) {
  for (const std::string name : {"hypervisor", "ht"}) {
    auto entries = host();
    const auto status = hide_features(entries, std::vector{name});
    ASSERT_FALSE(status) << name;
    EXPECT_EQ(status.error().kind(), ErrorKind::kConfig);
  }
}

TEST(Cpuid, UnknownFeatureNamesTheNearest) {
  auto entries = host();
  const std::vector<std::string> names = {"xsav"};
  const auto status = hide_features(entries, names);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(status.error().message().find("\"xsave\""), std::string::npos)
      << status.error().message();
}

TEST(Cpuid, AFeatureThatIsLikeNoneHasNoGuess) {
  auto entries = host();
  const std::vector<std::string> names = {"nosuch"};
  const auto status = hide_features(entries, names);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().message().find("did you mean"), std::string::npos)
      << status.error().message();
}

TEST(Cpuid, PhysicalBitsComeFromTheLeaf) {
  EXPECT_EQ(physical_address_bits(host()), 0x28U);
  EXPECT_EQ(physical_address_bits({}), 36U);
  // Page tables of four levels under a processor with more bits.
  auto entries = host();
  for (auto& entry : entries) {
    if (entry.leaf == 0x80000008) {
      entry[Reg::kEax] = 0x00303034;
    }
  }
  EXPECT_EQ(physical_address_bits(entries), 48U);
}

TEST(CpuFeatures, NamesAreUniqueAndDependenciesKnown) {
  std::set<std::string_view> names;
  for (const auto& word : feature_words()) {
    for (const auto name : word.names) {
      if (!name.empty()) {
        EXPECT_TRUE(names.insert(name).second) << name;
      }
    }
  }
  for (const auto& row : feature_dependencies()) {
    EXPECT_TRUE(names.contains(row.needed)) << row.needed;
    EXPECT_TRUE(names.contains(row.dependent)) << row.dependent;
  }
}

}  // namespace
}  // namespace gpuvm::cpuid_test
