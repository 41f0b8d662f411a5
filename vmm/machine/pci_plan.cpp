// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci_plan.hpp"

#include <algorithm>

#include "vmm/base/units.hpp"
#include "vmm/machine/layout.hpp"

namespace gpuvm {
namespace {

/// Offered even when no BAR needs it, for guests that move BARs up.
constexpr std::uint64_t kLeastAperture64 = 32_GiB;

/// Largest power of two that divides addresses of all requests.
std::uint64_t largest_bar(std::span<const PortRequest> requests) {
  std::uint64_t largest = 1_GiB;
  for (const auto& port : requests) {
    for (const auto& bar : port.bars) {
      largest = std::max(largest, bar.description.size);
    }
  }
  return largest;
}

/// Above RAM, aligned so that the largest BAR fits, inside what the guest's CPUs can address.
Result<GuestRange> choose_aperture64(GuestAddress end, std::span<const PortRequest> requests,
                                     unsigned address_bits) {
  const std::uint64_t limit = std::uint64_t{1} << std::min(address_bits, 52U);
  const std::uint64_t wanted = memory64_wanted(requests);
  const std::uint64_t base = align_up(end.value(), largest_bar(requests));
  const std::uint64_t least = std::max(wanted, 1_GiB);
  if (base >= limit || limit - base < least) {
    return fail(
        ErrorKind::kConfig,
        "The devices' 64-bit BARs need {} GiB of address space above the guest's memory, but its "
        "CPUs address only {} bits; give it less memory or fewer devices",
        least >> 30, address_bits);
  }
  return *GuestRange::create(GuestAddress(base),
                             std::min(std::max(wanted, kLeastAperture64), limit - base));
}

}  // namespace

GuestAddress end_of_memory(const GuestMemory& memory) {
  return std::max(layout::kFourGiB, memory.regions().back().range.last() + 1);
}

std::vector<GuestRange> place_device_memory(const GuestMemory& memory,
                                            std::span<const std::uint64_t> sizes) {
  // Linux's memory blocks have up to 2 GiB.
  constexpr std::uint64_t kAlignment = 2_GiB;
  std::vector<GuestRange> ranges;
  std::uint64_t at = end_of_memory(memory).value();
  for (const std::uint64_t size : sizes) {
    at = align_up(at, kAlignment);
    ranges.push_back(*GuestRange::create(GuestAddress(at), size));
    at += size;
  }
  return ranges;
}

GuestAddress end_of_memory(const GuestMemory& memory, std::span<const GuestRange> device_memory) {
  return device_memory.empty() ? end_of_memory(memory) : device_memory.back().last() + 1;
}

Result<PciPlan> plan_pci(GuestAddress end, std::span<const PortRequest> ports,
                         unsigned address_bits) {
  const auto aperture64 = TRY(choose_aperture64(end, ports, address_bits));
  PciApertures apertures;
  apertures.memory32 = GuestRange::create(layout::kMmio32Base, layout::kMmio32Size);
  apertures.memory64 = aperture64;
  apertures.io = PortRange::create(layout::kIoWindowBase, layout::kIoWindowSize);
  return PciPlan{.aperture64 = aperture64, .placements = TRY(place_bars(apertures, ports))};
}

TreePci tree_without_functions(const GuestRange& aperture64, unsigned buses) {
  return {
      .ecam = *GuestRange::create(layout::kEcamBase, layout::kEcamSize),
      .buses = buses,
      .memory_windows = {*GuestRange::create(layout::kMmio32Base, layout::kMmio32Size), aperture64},
      .functions = {}};
}

}  // namespace gpuvm
