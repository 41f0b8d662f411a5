// SPDX-License-Identifier: Apache-2.0
// Guest memory for targets whose guests write it: the same for all inputs, and zeroes at the begin
// of each.
#pragma once

#include <cstring>
#include <memory>

#include "vmm/base/units.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm::fuzz {

inline constexpr std::uint64_t kRamSize = 2_MiB;

inline const GuestMemory& fresh_memory() {
  static const auto memory =
      std::make_unique<GuestMemory>(GuestMemory::create({.size = kRamSize}).value());
  const auto bytes = memory->regions().front().host;
  std::memset(bytes.data(), 0, bytes.size());
  return *memory;
}

}  // namespace gpuvm::fuzz
