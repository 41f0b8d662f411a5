// SPDX-License-Identifier: Apache-2.0
// show_hypervisor(): what CPUID says of the hypervisor from leaf 0x40000000 on (cpuid.hpp).
// Enlightenments are those that KVM serves by CPUID alone: Microsoft's Hypervisor Top Level
// Functional Specification 6.0b, 2.4; Linux, arch/x86/kvm/hyperv.c. Missing: those that the monitor
// must switch on or serve: the synthetic interrupt controller and its timers, reset, crash notes.
#include <algorithm>
#include <array>
#include <cstring>

#include "vmm/kvm/cpuid.hpp"

namespace gpuvm {
namespace {

using Reg = CpuidRegister;

constexpr std::uint32_t kFirstLeaf = 0x40000000;
constexpr std::uint32_t kSecondRange = 0x40000100;
constexpr std::uint32_t kPrivilegeLeaf = kFirstLeaf + 3;
constexpr std::uint32_t kHintLeaf = kFirstLeaf + 4;

/// What an enlightenment shows: 0x40000003 EAX and EDX, 0x40000004 EAX.
struct Enlightenment {
  const char* name;
  std::uint32_t privileges;
  std::uint32_t features;
  std::uint32_t hints;
};

constexpr Enlightenment kEnlightenments[] = {
    {"relaxed", 0, 0, cpuid_bit(5)},                   // no watchdogs in the guest
    {"vapic", cpuid_bit(4), 0, cpuid_bit(3)},          // EOI, ICR and TPR as MSRs
    {"spinlocks", 0, 0, 0},                            // EBX of 0x40000004, below
    {"vpindex", cpuid_bit(6), 0, 0},                   // the processor's index
    {"runtime", cpuid_bit(0), 0, 0},                   // time a processor has run
    {"time", cpuid_bit(1) | cpuid_bit(9), 0, 0},       // reference counter and TSC page
    {"frequencies", cpuid_bit(11), cpuid_bit(8), 0},   // of TSC and APIC
    {"tlbflush", 0, 0, cpuid_bit(2) | cpuid_bit(11)},  // remote TLB flushes by hypercall
    {"ipi", 0, 0, cpuid_bit(10) | cpuid_bit(11)},      // interrupts to many processors by hypercall
};
constexpr std::uint32_t kSpinlockRetries = 0x1fff;
constexpr std::uint32_t kNeverSpinNotify = ~std::uint32_t{0};

Result<const Enlightenment*> find_enlightenment(std::string_view name) {
  std::string names;
  for (const auto& row : kEnlightenments) {
    if (row.name == name) {
      return &row;
    }
    names += names.empty() ? row.name : std::string(", ") + row.name;
  }
  return fail(ErrorKind::kConfig, "cpu.hyperv: no enlightenment is called \"{}\"; there are {}",
              name, names);
}

/// The least that a guest takes for Hyper-V, and that KVM implements by itself: the hypercall page
/// and the processor's index.
std::vector<CpuidEntry> hyperv_leaves(std::string_view vendor_id) {
  std::array<char, 12> id{};
  std::copy_n(vendor_id.begin(), std::min(vendor_id.size(), id.size()), id.begin());
  std::array<std::uint32_t, 3> signature{};
  std::memcpy(signature.data(), id.data(), id.size());
  constexpr std::uint32_t kInterface = 0x31237648;  // "Hv#1"
  constexpr std::uint32_t kPrivileges =
      cpuid_bit(5) | cpuid_bit(6);                        // hypercall and VP index registers
  constexpr std::uint32_t kRelaxedTiming = cpuid_bit(5);  // watchdogs of the guest off
  constexpr std::uint32_t kProcessors = 64;
  return {{kFirstLeaf, 0, false, {kFirstLeaf + 5, signature[0], signature[1], signature[2]}},
          {kFirstLeaf + 1, 0, false, {kInterface, 0, 0, 0}},
          {kFirstLeaf + 2, 0, false, {0, 0, 0, 0}},
          {kPrivilegeLeaf, 0, false, {kPrivileges, 0, 0, 0}},
          {kHintLeaf, 0, false, {kRelaxedTiming, kNeverSpinNotify, 0, 0}},
          {kFirstLeaf + 5, 0, false, {kProcessors, 0, 0, 0}}};
}

Status add_enlightenments(std::vector<CpuidEntry>& leaves, std::span<const std::string> names) {
  for (const auto& name : names) {
    const auto* row = TRY(find_enlightenment(name));
    for (auto& leaf : leaves) {
      if (leaf.leaf == kPrivilegeLeaf) {
        leaf[Reg::kEax] |= row->privileges;
        leaf[Reg::kEdx] |= row->features;
      } else if (leaf.leaf == kHintLeaf) {
        leaf[Reg::kEax] |= row->hints;
        leaf[Reg::kEbx] = name == "spinlocks" ? kSpinlockRetries : leaf[Reg::kEbx];
      }
    }
  }
  return {};
}

std::array<std::uint32_t, 4> registers_of(std::span<const CpuidEntry> entries, std::uint32_t leaf) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [leaf](const CpuidEntry& entry) { return entry.leaf == leaf; });
  return found == entries.end() ? std::array<std::uint32_t, 4>{} : found->registers;
}

}  // namespace

Status show_hypervisor(std::vector<CpuidEntry>& entries, const HypervisorView& view) {
  if (view.hidden) {
    std::erase_if(entries, is_hypervisor_leaf);
  }
  if (view.hyperv_vendor_id.empty() && view.hyperv.empty()) {
    return {};
  }
  auto leaves =
      hyperv_leaves(view.hyperv_vendor_id.empty() ? "Microsoft Hv" : view.hyperv_vendor_id);
  TRY(add_enlightenments(leaves, view.hyperv));
  for (auto& entry : entries) {
    if (is_hypervisor_leaf(entry)) {
      if (entry.leaf == kFirstLeaf) {  // EAX: the last leaf
        entry[Reg::kEax] = std::max(entry[Reg::kEax], kFirstLeaf + 1) + 0x100;
      }
      entry.leaf += kSecondRange - kFirstLeaf;
    }
  }
  entries.insert(entries.end(), leaves.begin(), leaves.end());
  return {};
}

Status check_hyperv(std::span<const CpuidEntry> entries, std::span<const CpuidEntry> offered) {
  constexpr std::uint32_t kInterface = 0x31237648;
  if (registers_of(entries, kFirstLeaf + 1)[0] != kInterface) {
    return {};
  }
  const auto privileges = registers_of(entries, kPrivilegeLeaf);
  const auto hints = registers_of(entries, kHintLeaf);
  const auto kvm_privileges = registers_of(offered, kPrivilegeLeaf);
  const auto kvm_hints = registers_of(offered, kHintLeaf);
  for (const auto& row : kEnlightenments) {
    const bool wanted = (privileges[0] & row.privileges) == row.privileges &&
                        (privileges[3] & row.features) == row.features &&
                        (hints[0] & row.hints) == row.hints;
    const bool there = (kvm_privileges[0] & row.privileges) == row.privileges &&
                       (kvm_privileges[3] & row.features) == row.features &&
                       (kvm_hints[0] & row.hints) == row.hints;
    if (wanted && !there) {
      return fail(ErrorKind::kHost,
                  "cpu.hyperv: the host's KVM does not serve \"{}\"; leave it out, or take a newer "
                  "kernel with CONFIG_KVM_HYPERV",
                  row.name);
    }
  }
  return {};
}

}  // namespace gpuvm
