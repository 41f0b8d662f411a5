// SPDX-License-Identifier: Apache-2.0
// CpuTopology: which vCPUs share a package (a socket with its last cache), and the local APIC ids
// by which CPUID, the MADT and the SRAT all name them. Pure.
// Sources: Intel SDM volume 3, "Programming considerations for hardware multi-threading capable
// processors" (APIC ids are fields: package, core, thread); Linux, arch/x86/kernel/cpu.
// Missing: hyperthreads and dies; every vCPU is a core.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gpuvm {

class CpuTopology {
 public:
  /// All vCPUs in one package; vCPU n has APIC id n. `cpus` is not 0.
  static CpuTopology one_package(std::uint32_t cpus);

  /// A package for each list that is not empty; each vCPU from 0 on is in one list. Packages are
  /// numbered by their lowest vCPU, so that vCPU 0, the one that KVM starts, has APIC id 0. An APIC
  /// id is the package's number, then the core's number in it, whose field is as wide as the
  /// largest package needs, and 3 bits where there is room for them. One package of all where there
  /// is one list, or where an id could exceed 254, which a guest without x2APIC cannot address.
  static CpuTopology of_packages(const std::vector<std::vector<unsigned>>& packages);

  std::uint32_t cpus() const { return static_cast<std::uint32_t>(apic_ids_.size()); }
  std::uint32_t packages() const { return packages_; }
  /// Of the largest package.
  std::uint32_t cores_per_package() const { return cores_per_package_; }
  /// Bits of an APIC id that tell the cores of a package apart.
  unsigned core_id_bits() const { return core_id_bits_; }
  std::span<const std::uint32_t> apic_ids() const { return apic_ids_; }  ///< of vCPU n

  std::uint32_t apic_id(std::uint32_t cpu) const { return apic_ids_.at(cpu); }
  std::uint32_t package(std::uint32_t cpu) const { return apic_id(cpu) >> core_id_bits_; }
  /// The vCPU's number in its package.
  std::uint32_t core(std::uint32_t cpu) const {
    return apic_id(cpu) & ((std::uint32_t{1} << core_id_bits_) - 1);
  }

 private:
  CpuTopology() = default;

  std::vector<std::uint32_t> apic_ids_;
  std::uint32_t packages_ = 1;
  std::uint32_t cores_per_package_ = 1;
  unsigned core_id_bits_ = 0;
};

}  // namespace gpuvm
