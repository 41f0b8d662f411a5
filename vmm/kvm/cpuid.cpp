// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/cpuid.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "vmm/base/text.hpp"
#include "vmm/kvm/cpu_features.hpp"

namespace gpuvm {
namespace {

using Reg = CpuidRegister;

CpuidEntry* find(std::vector<CpuidEntry>& entries, std::uint32_t leaf, std::uint32_t subleaf) {
  for (auto& entry : entries) {
    if (entry.leaf == leaf && (!entry.indexed || entry.subleaf == subleaf)) {
      return &entry;
    }
  }
  return nullptr;
}

/// A bit that means nothing good in a guest, or that the guest must see.
struct FixedBits {
  std::uint32_t leaf;
  std::uint32_t subleaf;
  Reg where;
  std::uint32_t clear;
  std::uint32_t set;
  const char* reason;
};

constexpr std::array kFixedBits = {
    FixedBits{1, 0, Reg::kEcx, cpuid_bit(3), 0, "MONITOR/MWAIT: idle must reach the host"},
    FixedBits{1, 0, Reg::kEcx, cpuid_bit(2) | cpuid_bit(15), 0,
              "debug store, PDCM: no PMU in the guest"},
    FixedBits{1, 0, Reg::kEcx, 0, cpuid_bit(24), "TSC deadline timer of the in-kernel APIC"},
    FixedBits{1, 0, Reg::kEcx, 0, cpuid_bit(21), "x2APIC of the in-kernel APIC"},
    FixedBits{1, 0, Reg::kEdx, cpuid_bit(21), 0, "debug store: no PMU in the guest"},
    FixedBits{6, 0, Reg::kEax, ~std::uint32_t{0}, cpuid_bit(2),
              "no thermal sensors; APIC timer always runs"},
    FixedBits{6, 0, Reg::kEbx, ~std::uint32_t{0}, 0, "no thermal thresholds"},
    FixedBits{6, 0, Reg::kEcx, ~std::uint32_t{0}, 0, "no APERF/MPERF"},
    FixedBits{0xa, 0, Reg::kEax, ~std::uint32_t{0}, 0, "no PMU in the guest"},
    FixedBits{0xa, 0, Reg::kEbx, ~std::uint32_t{0}, 0, "no PMU in the guest"},
    FixedBits{0xa, 0, Reg::kEcx, ~std::uint32_t{0}, 0, "no PMU in the guest"},
    FixedBits{0xa, 0, Reg::kEdx, ~std::uint32_t{0}, 0, "no PMU in the guest"},
    FixedBits{0x80000001, 0, Reg::kEcx, cpuid_bit(2), 0, "SVM: no nested guests"},
    FixedBits{0x80000001, 0, Reg::kEcx, cpuid_bit(23) | cpuid_bit(24) | cpuid_bit(28), 0,
              "no PMU in the guest"},
    FixedBits{1, 0, Reg::kEcx, cpuid_bit(5), 0, "VMX: no nested guests"},
};

/// Features that guest_cpuid() shows or hides by what the machine is.
struct NotHidden {
  std::string_view name;
  std::string_view cure;
};
constexpr std::array kNotHidden = {
    NotHidden{"hypervisor", "set cpu.hide_hypervisor = true"},
    NotHidden{"ht", "it says that there is more than one CPU; set machine.cpus = 1"},
};

/// Leaf 1 ECX bit 31: leaves from 0x40000000 are there.
void set_hypervisor_bit(std::vector<CpuidEntry>& entries) {
  const bool present = std::any_of(entries.begin(), entries.end(), is_hypervisor_leaf);
  if (auto* entry = find(entries, 1, 0)) {
    auto& ecx = (*entry)[Reg::kEcx];
    ecx = present ? ecx | cpuid_bit(31) : ecx & ~cpuid_bit(31);
  }
}

/// Leaf 1: initial APIC ID, logical processors of the package, HTT.
void set_basic_topology(CpuidEntry& entry, std::uint32_t cpu, const CpuTopology& topology) {
  const std::uint32_t count = topology.cores_per_package();
  auto& ebx = entry[Reg::kEbx];
  ebx = (ebx & 0x0000ffff) | (topology.apic_id(cpu) << 24) | (std::min(count, 255U) << 16);
  auto& edx = entry[Reg::kEdx];
  edx = count > 1 ? edx | cpuid_bit(28) : edx & ~cpuid_bit(28);
}

/// Leaf 4 (Intel) and 0x8000001d (AMD): level 3 is shared by all vCPUs of a package, lower levels
/// by none.
void set_cache_topology(CpuidEntry& entry, const CpuTopology& topology, bool intel) {
  auto& eax = entry[Reg::kEax];
  if ((eax & 0x1f) == 0) {
    return;  // no more caches
  }
  const std::uint32_t count = topology.cores_per_package();
  const std::uint32_t sharing = ((eax >> 5) & 7) >= 3 ? count - 1 : 0;
  // Rounded as leaf 1's count is by guests, which divide one by the other.
  const std::uint32_t cores = intel ? (std::bit_ceil(count) - 1) & 0x3f : 0;
  eax = (eax & 0x3fff) | (sharing << 14) | (cores << 26);
}

/// Leaf 0x80000008 ECX and 0x8000001e: AMD's core count and ids. A package is one of AMD's nodes.
void set_amd_topology(CpuidEntry& entry, std::uint32_t cpu, const CpuTopology& topology) {
  if (entry.leaf == 0x80000008) {
    entry[Reg::kEcx] = (topology.core_id_bits() << 12) | (topology.cores_per_package() - 1);
  } else {
    // One thread a core, one node a package.
    entry.registers = {topology.apic_id(cpu), topology.core(cpu), topology.package(cpu), 0};
  }
}

/// Leaf 0xb (and 0x1f): subleaf 0 threads, subleaf 1 cores, then nothing.
std::array<CpuidEntry, 3> extended_topology(std::uint32_t leaf, std::uint32_t cpu,
                                            const CpuTopology& topology) {
  constexpr std::uint32_t kThread = 1U << 8;
  constexpr std::uint32_t kCore = 2U << 8;
  const std::uint32_t id = topology.apic_id(cpu);
  return {
      CpuidEntry{leaf, 0, true, {0, 1, kThread | 0, id}},
      CpuidEntry{
          leaf, 1, true, {topology.core_id_bits(), topology.cores_per_package(), kCore | 1, id}},
      CpuidEntry{leaf, 2, true, {0, 0, 2, id}}};
}

void hide_one(std::vector<CpuidEntry>& entries, std::string_view name) {
  for (const auto& word : feature_words()) {
    for (unsigned i = 0; i < word.names.size(); ++i) {
      auto* entry = word.names.at(i) == name ? find(entries, word.leaf, word.subleaf) : nullptr;
      if (entry != nullptr) {
        (*entry)[word.where] &= ~cpuid_bit(i);
      }
    }
  }
  if (name == "xsave") {  // without it the state leaf describes nothing
    std::erase_if(entries, [](const CpuidEntry& entry) { return entry.leaf == 0xd; });
  }
  for (const auto& dependency : feature_dependencies()) {
    if (dependency.needed == name) {
      hide_one(entries, dependency.dependent);
    }
  }
}

std::vector<std::string_view> known_names() {
  std::vector<std::string_view> names;
  for (const auto& word : feature_words()) {
    std::copy_if(word.names.begin(), word.names.end(), std::back_inserter(names),
                 [](std::string_view name) { return !name.empty(); });
  }
  return names;
}

}  // namespace

void fix_features(std::vector<CpuidEntry>& entries) {
  for (const auto& row : kFixedBits) {
    if (auto* entry = find(entries, row.leaf, row.subleaf)) {
      (*entry)[row.where] = ((*entry)[row.where] & ~row.clear) | row.set;
    }
  }
}

Status hide_features(std::vector<CpuidEntry>& entries, std::span<const std::string> names) {
  const auto known = known_names();
  for (const auto& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const auto near = near_name(name, known);
      return fail(
          ErrorKind::kConfig,
          "cpu.hide: no CPU feature is called \"{}\"{} Names are those of the flags line in "
          "/proc/cpuinfo",
          name, near.empty() ? "." : fmt::format("; did you mean \"{}\"?", near));
    }
    for (const auto& row : kNotHidden) {
      if (row.name == name) {
        return fail(ErrorKind::kConfig, "cpu.hide: \"{}\" cannot be hidden here: {}", name,
                    row.cure);
      }
    }
    hide_one(entries, name);
  }
  return {};
}

std::vector<CpuidEntry> guest_cpuid(std::span<const CpuidEntry> supported, std::uint32_t cpu,
                                    const CpuTopology& topology) {
  std::vector<CpuidEntry> entries;
  bool has_leaf_b = false;
  for (const auto& entry : supported) {
    if (entry.leaf == 0xb || entry.leaf == 0x1f) {
      has_leaf_b = has_leaf_b || entry.leaf == 0xb;
      continue;
    }
    entries.push_back(entry);
  }
  set_hypervisor_bit(entries);
  for (auto& entry : entries) {
    if (entry.leaf == 1) {
      set_basic_topology(entry, cpu, topology);
    } else if (entry.leaf == 4 || entry.leaf == 0x8000001d) {
      set_cache_topology(entry, topology, entry.leaf == 4);
    } else if (entry.leaf == 0x80000008 || entry.leaf == 0x8000001e) {
      set_amd_topology(entry, cpu, topology);
    }
  }
  if (has_leaf_b) {
    const auto levels = extended_topology(0xb, cpu, topology);
    entries.insert(entries.end(), levels.begin(), levels.end());
  }
  return entries;
}

unsigned physical_address_bits(std::span<const CpuidEntry> entries) {
  for (const auto& entry : entries) {
    if (entry.leaf == 0x80000008) {
      // KVM tells in bits 23:16 what its page tables can map where that is less (AMD64 Architecture
      // Programmer's Manual 3, E.4.7: guest physical address size); 0 means the same as 7:0.
      const unsigned bits = entry[Reg::kEax] & 0xff;
      const unsigned mappable = entry[Reg::kEax] >> 16 & 0xff;
      return mappable == 0 ? bits : std::min(bits, mappable);
    }
  }
  return 36;
}

}  // namespace gpuvm
