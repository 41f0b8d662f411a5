// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/e820.hpp"

#include <algorithm>
#include <array>

#include "firmware/linux/linux_layout.hpp"

namespace gpuvm {
namespace {

using linux_layout::kEbda;
using linux_layout::kHighMemory;
using linux_layout::kRomArea;
using linux_layout::kVgaWindow;

struct LegacyPart {
  GuestAddress begin;
  GuestAddress end;
  E820Type type;
};

// What a PC tells of its first 1 MiB; the VGA window is in no entry, as it is no memory. Linux
// reserves kEbda to 1 MiB by itself (arch/x86/kernel/ebda.c) and expects to find it so.
constexpr std::array<LegacyPart, 3> kLegacyParts = {{
    {GuestAddress(0), kEbda, E820Type::kRam},
    {kEbda, kVgaWindow, E820Type::kReserved},
    {kRomArea, kHighMemory, E820Type::kReserved},
}};

/// [begin, end), or nothing when that is empty.
std::optional<GuestRange> range_between(GuestAddress begin, GuestAddress end) {
  return begin < end ? GuestRange::create(begin, end - begin) : std::nullopt;
}

void add_ram(std::vector<E820Entry>& entries, GuestRange ram) {
  const GuestAddress end = ram.last() + 1;
  for (const auto& part : kLegacyParts) {
    if (const auto range =
            range_between(std::max(part.begin, ram.base()), std::min(part.end, end))) {
      entries.push_back({*range, part.type});
    }
  }
  if (const auto range = range_between(std::max(kHighMemory, ram.base()), end)) {
    entries.push_back({*range, E820Type::kRam});
  }
}

/// Appends what is left of entry without the (sorted, disjoint) holes.
void add_without(std::vector<E820Entry>& out, const E820Entry& entry,
                 std::span<const E820Entry> holes) {
  GuestAddress at = entry.range.base();
  const GuestAddress end = entry.range.last() + 1;
  for (const auto& hole : holes) {
    if (!hole.range.overlaps(entry.range)) {
      continue;
    }
    if (const auto piece = range_between(at, hole.range.base())) {
      out.push_back({*piece, entry.type});
    }
    if (hole.range.last() >= entry.range.last()) {
      return;
    }
    at = hole.range.last() + 1;
  }
  if (const auto piece = range_between(at, end)) {
    out.push_back({*piece, entry.type});
  }
}

bool by_address(const E820Entry& a, const E820Entry& b) {
  return a.range.base() < b.range.base();
}

}  // namespace

Result<std::vector<E820Entry>> build_e820(std::span<const GuestRange> ram,
                                          std::span<const E820Entry> extra) {
  std::vector<E820Entry> map(extra.begin(), extra.end());
  std::sort(map.begin(), map.end(), by_address);
  for (std::size_t i = 1; i < map.size(); ++i) {
    if (map[i - 1].range.overlaps(map[i].range)) {
      return fail(ErrorKind::kInternal, "Two reserved ranges overlap at {:#x} in the memory map",
                  map[i].range.base().value());
    }
  }
  std::vector<E820Entry> memory;
  for (const auto& range : ram) {
    add_ram(memory, range);
  }
  const std::vector<E820Entry> holes = map;
  for (const auto& entry : memory) {
    add_without(map, entry, holes);
  }
  std::sort(map.begin(), map.end(), by_address);
  return map;
}

}  // namespace gpuvm
