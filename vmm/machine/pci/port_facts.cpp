// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/port_facts.hpp"

#include <algorithm>
#include <array>

#include "devices/pci/pci_spec.hpp"

namespace gpuvm {
namespace {

struct AtomicRequester {
  std::uint8_t base_class;
  const char* reason;
  const char* source;
};
/// Base classes whose drivers look for completers: pci_enable_atomic_ops_to_root() in Linux.
constexpr std::array<AtomicRequester, 4> kAtomicRequesters = {{
    {0x02, "RDMA", "Linux, drivers/net/ethernet/mellanox and broadcom"},
    {0x03, "compute on GPUs", "Linux, drivers/gpu/drm/amd/amdgpu"},
    {0x0b, "compute", "PCI Code and ID Assignment 1.16, 1.12: co-processors (0b40)"},
    {0x12, "compute", "PCI Code and ID Assignment 1.16, 1.19: processing accelerators"},
}};

bool may_request_atomics(const FunctionFacts& facts) {
  return std::any_of(kAtomicRequesters.begin(), kAtomicRequesters.end(),
                     [&facts](const AtomicRequester& requester) {
                       return requester.base_class == facts.class_code >> 16;
                     });
}

bool is_one_slot(const HostFunction& a, const HostFunction& b) {
  return a.socket == b.socket && (a.is_remote() || a.host.same_slot(b.host));
}

}  // namespace

std::uint32_t atomic_completers_of(std::span<const FunctionBehind> functions) {
  constexpr std::uint32_t kAll = pci::kDevice2AtomicComplete32 | pci::kDevice2AtomicComplete64 |
                                 pci::kDevice2AtomicComplete128;
  std::uint32_t completers = kAll;
  bool is_known = false;
  for (const auto& function : functions) {
    if (!may_request_atomics(function.facts)) {
      continue;
    }
    std::uint32_t of_slot = 0;
    for (const auto& other : functions) {
      of_slot |= is_one_slot(function.host, other.host) ? other.facts.offers.atomic_completers : 0U;
    }
    completers &= of_slot;
    is_known = true;
  }
  return is_known ? completers : 0;
}

PcieLink link_capability_of(std::span<const FunctionBehind> functions) {
  const auto first =
      std::find_if(functions.begin(), functions.end(),
                   [](const FunctionBehind& function) { return function.host.function == 0; });
  PcieLink link;
  for (const auto& function : functions) {
    if (first != functions.end() && is_one_slot(first->host, function.host)) {
      link = link.at_least(function.facts.link_capability);
    }
  }
  return link;
}

}  // namespace gpuvm
