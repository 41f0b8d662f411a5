// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/device_memory.hpp"

#include <algorithm>

#include "vmm/base/units.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/memory/layout.hpp"

namespace gpuvm {
namespace {

// Linux's memory blocks have up to 2 GiB.
constexpr std::uint64_t kAlignment = 2_GiB;
// A guest's huge pages, which its page tables and KVM's slots both want.
constexpr std::uint64_t kFixedAlignment = 2_MiB;
constexpr const char* kCure = R"(leave out coherent_memory's place = "host")";

std::uint64_t limit_of(unsigned address_bits) {
  return std::uint64_t{1} << std::min(address_bits, 52U);
}

std::string text_of(GuestRange range) {
  return fmt::format("{:#x} to {:#x}", range.base().value(), range.last().value());
}

/// Memory that must lie at a place of the host's choice.
Result<GuestRange> fix(const GuestMemory& memory, const DeviceMemory& wanted,
                       unsigned address_bits) {
  const auto range = GuestRange::create(*wanted.at, wanted.size);
  if (!range || !is_aligned(wanted.at->value(), kFixedAlignment)) {
    return fail(ErrorKind::kConfig,
                "{}: Its memory is at {:#x} on the host, which is not at whole 2 MiB; {}",
                wanted.name, wanted.at->value(), kCure);
  }
  if (wanted.at->value() < layout::kFourGiB.value()) {
    return fail(ErrorKind::kConfig,
                "{}: Its memory is at {} on the host, where the guest has RAM and chipset, below "
                "4 GiB; {}",
                wanted.name, text_of(*range), kCure);
  }
  if (range->last().value() >= limit_of(address_bits)) {
    return fail(ErrorKind::kConfig,
                "{}: Its memory is at {} on the host, but the guest's CPUs address only {} bits; "
                "{}",
                wanted.name, text_of(*range), address_bits, kCure);
  }
  for (const auto& region : memory.regions()) {
    if (region.range.overlaps(*range)) {
      return fail(ErrorKind::kConfig,
                  "{}: Its memory is at {} on the host, where the guest has RAM ({}); give it less "
                  "memory, or {}",
                  wanted.name, text_of(*range), text_of(region.range), kCure);
    }
  }
  return *range;
}

/// The next place at or above `at` that no range of `taken` overlaps.
std::uint64_t skip(std::uint64_t at, std::uint64_t size, std::vector<GuestRange> taken) {
  std::sort(taken.begin(), taken.end(),
            [](const GuestRange& a, const GuestRange& b) { return a.base() < b.base(); });
  for (const auto& range : taken) {
    if (range.base().value() < at + size && at <= range.last().value()) {
      at = align_up(range.last().value() + 1, kAlignment);
    }
  }
  return at;
}

GuestRange address_hole() {
  return *GuestRange::create(GuestAddress(kAddressHoleBase), kAddressHoleEnd - kAddressHoleBase);
}

}  // namespace

Result<std::vector<DeviceMemory>> device_memory_of(const HostSystem& host,
                                                   const FunctionPointers& functions) {
  std::vector<DeviceMemory> wanted;
  for (const HostFunction* const function : functions) {
    const auto& view = function->view;
    if (!view.coherent.bar || function->is_remote()) {
      continue;
    }
    for (const auto& bar : TRY(TRY(HostPciDevice::open(host, function->host)).bars())) {
      const std::uint64_t size = align_down(bar.size, 2_MiB);
      if (bar.index == *view.coherent.bar && size != 0) {
        wanted.push_back({.name = function->name(), .size = size, .at = view.coherent_at});
      }
    }
  }
  return wanted;
}

GuestAddress end_of_memory(const GuestMemory& memory) {
  return std::max(layout::kFourGiB, memory.regions().back().range.last() + 1);
}

Result<std::vector<GuestRange>> place_device_memory(const GuestMemory& memory,
                                                    std::span<const DeviceMemory> wanted,
                                                    unsigned address_bits) {
  std::vector<std::optional<GuestRange>> places(wanted.size());
  std::vector<GuestRange> taken;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!wanted[i].at) {
      continue;
    }
    const auto range = TRY(fix(memory, wanted[i], address_bits));
    for (const auto& other : taken) {
      if (other.overlaps(range)) {
        return fail(ErrorKind::kConfig, "{}: Its memory is at {} on the host, as is another one's",
                    wanted[i].name, text_of(range));
      }
    }
    places[i] = range;
    taken.push_back(range);
  }
  taken.push_back(address_hole());
  std::uint64_t at = end_of_memory(memory).value();
  std::vector<GuestRange> ranges;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (!places[i]) {
      const std::uint64_t size = wanted[i].size;
      at = skip(align_up(at, kAlignment), size, taken);
      if (at >= limit_of(address_bits) || size > limit_of(address_bits) - at) {
        return fail(ErrorKind::kConfig,
                    "{}: There is no room for its memory of {} MiB: the guest's CPUs address only "
                    "{} bits; give the guest less memory or fewer devices",
                    wanted[i].name, size >> 20, address_bits);
      }
      places[i] = GuestRange::create(GuestAddress(at), size);
      at += size;
    }
    ranges.push_back(*places[i]);
  }
  return ranges;
}

std::vector<GuestRange> free_above_memory(const GuestMemory& memory,
                                          std::span<const GuestRange> device_memory,
                                          unsigned address_bits) {
  std::vector<GuestRange> taken(device_memory.begin(), device_memory.end());
  taken.push_back(address_hole());
  std::sort(taken.begin(), taken.end(),
            [](const GuestRange& a, const GuestRange& b) { return a.base() < b.base(); });
  std::vector<GuestRange> gaps;
  std::uint64_t at = end_of_memory(memory).value();
  const auto add = [&](std::uint64_t wanted_end) {
    const std::uint64_t end = std::min(wanted_end, limit_of(address_bits));
    if (end > at) {
      gaps.push_back(*GuestRange::create(GuestAddress(at), end - at));
    }
  };
  for (const auto& range : taken) {
    add(range.base().value());
    at = std::max(at, range.last().value() + 1);
  }
  add(limit_of(address_bits));
  return gaps;
}

std::vector<GuestRange> reachable(std::span<const GuestRange> free,
                                  std::span<const IovaRange> ranges) {
  std::vector<GuestRange> parts;
  for (const auto& gap : free) {
    for (const auto& range : ranges) {
      const std::uint64_t first = std::max(gap.base().value(), range.base().value());
      const std::uint64_t last = std::min(gap.last().value(), range.last().value());
      if (first <= last) {
        parts.push_back(*GuestRange::create(GuestAddress(first), last - first + 1));
      }
    }
  }
  return parts;
}

}  // namespace gpuvm
