// SPDX-License-Identifier: Apache-2.0
// The CPUID a guest sees: what KVM supports on this host, cleaned of what makes no sense in a
// guest, with topology leaves that are right for the number of vCPUs, and without the features the
// user hides. Pure; no KVM needed. Sources: Intel SDM volume 2A, CPUID; AMD64 APM volume 3,
// appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst. Missing: hyperthreads (every vCPU is a
// core).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/cpu_topology.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

enum class CpuidRegister : std::uint8_t { kEax, kEbx, kEcx, kEdx };

struct CpuidEntry {
  std::uint32_t leaf = 0;
  std::uint32_t subleaf = 0;
  bool indexed = false;                      ///< the subleaf matters
  std::array<std::uint32_t, 4> registers{};  ///< EAX, EBX, ECX, EDX

  std::uint32_t& operator[](CpuidRegister which) {
    return registers[static_cast<std::size_t>(which)];
  }
  std::uint32_t operator[](CpuidRegister which) const {
    return registers[static_cast<std::size_t>(which)];
  }
};

/// A register's bit.
constexpr std::uint32_t cpuid_bit(unsigned number) {
  return std::uint32_t{1} << number;
}

/// Whether the hypervisor says it, rather than the processor: leaves 0x40000000 to 0x4fffffff.
inline bool is_hypervisor_leaf(const CpuidEntry& entry) {
  return entry.leaf >> 28 == 4;
}

/// Clears what means nothing good in a guest and sets what KVM emulates, whatever the host has.
void fix_features(std::vector<CpuidEntry>& entries);

/// Removes features by their /proc/cpuinfo names, with everything that depends on them (xsave takes
/// avx along). Errors: kConfig for a name that is not known, with the nearest known one, and for
/// those that follow from the machine.
Status hide_features(std::vector<CpuidEntry>& entries, std::span<const std::string> names);

/// What CPUID says of the hypervisor (Linux Documentation/virt/kvm/x86/cpuid.rst; Microsoft's
/// Hypervisor Top Level Functional Specification, 2.4).
struct HypervisorView {
  bool hidden = false;  ///< no KVM leaves; without a Hyper-V id no hypervisor bit either
  std::string_view hyperv_vendor_id = {};    ///< shows Hyper-V's leaves first; empty: not
  std::span<const std::string> hyperv = {};  ///< names of enlightenments, which show them too
};
/// Changes the leaves from 0x40000000. guest_cpuid() sets the hypervisor bit where any is left.
/// Errors: kConfig for an enlightenment that is not known, with the list.
Status show_hypervisor(std::vector<CpuidEntry>& entries, const HypervisorView& view);
/// Errors: kHost, naming the enlightenment: `offered`, KVM's own Hyper-V leaves, lacks what the
/// guest is shown. Nothing is wrong with entries that show no Hyper-V.
Status check_hyperv(std::span<const CpuidEntry> entries, std::span<const CpuidEntry> offered);

/// The leaves for vCPU `cpu` of `topology`.
std::vector<CpuidEntry> guest_cpuid(std::span<const CpuidEntry> supported, std::uint32_t cpu,
                                    const CpuTopology& topology);

/// Guest physical address bits (leaf 0x80000008); 36 where the leaf is absent.
unsigned physical_address_bits(std::span<const CpuidEntry> entries);

}  // namespace gpuvm
