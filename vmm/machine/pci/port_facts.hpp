// SPDX-License-Identifier: Apache-2.0
// What a root port of the guest shows of the host's, as the functions behind it tell: pure.
#pragma once

#include <cstdint>
#include <span>

#include "devices/passthrough/function_facts.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {

/// A function behind the port. Both are good as long as the call.
struct FunctionBehind {
  const HostFunction& host;
  const FunctionFacts& facts;
};

/// Which AtomicOps the port completes: completer bits of Device Capabilities 2 (PCI Express Base
/// 6.0, 7.5.3.15). All functions of a slot of the host have the same way to memory, so what one of
/// them is told holds for all: the kernel tells nothing of those that complete none themselves,
/// such as a GPU's audio function. Slots have ways of their own: bits stay that all have whose
/// functions may request AtomicOps; a USB or audio controller does not.
std::uint32_t atomic_completers_of(std::span<const FunctionBehind> functions);

/// What the port's link is capable of: the most that functions of the card say which the guest
/// finds first. They change speed as they like, so what they have trained to is no limit.
PcieLink link_capability_of(std::span<const FunctionBehind> functions);

}  // namespace gpuvm
