// SPDX-License-Identifier: Apache-2.0
// RangeMap: the one map from address ranges to things, for I/O ports, MMIO and BARs. Knows nothing
// of what it stores. Refuses empty, overflowing and overlapping ranges; an access must fit wholly
// into one range.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

template <class A, class T>
class RangeMap {
 public:
  struct Entry {
    AddressRange<A> range;
    T value;
  };

  /// Errors: kInternal when it overlaps an entry; the map is then unchanged.
  Status insert(AddressRange<A> range, T value) {
    const auto next = first_ending_at_or_after(range.base());
    if (next != entries_.end() && next->range.overlaps(range)) {
      return fail(ErrorKind::kInternal, "Range {:#x}+{:#x} overlaps {:#x}+{:#x}",
                  range.base().value(), range.size(), next->range.base().value(),
                  next->range.size());
    }
    entries_.insert(next, Entry{range, std::move(value)});
    return {};
  }

  /// Removes the entry that starts at base; false if there is none.
  bool erase(A base) {
    const auto found = first_ending_at_or_after(base);
    if (found == entries_.end() || found->range.base() != base) {
      return false;
    }
    entries_.erase(found);
    return true;
  }

  /// The entry that wholly contains [at, at + length), or nullptr.
  const Entry* find(A at, std::uint64_t length) const {
    const auto found = first_ending_at_or_after(at);
    return found != entries_.end() && found->range.contains(at, length) ? &*found : nullptr;
  }

  /// Sorted by address.
  const std::vector<Entry>& entries() const { return entries_; }

 private:
  typename std::vector<Entry>::const_iterator first_ending_at_or_after(A at) const {
    return std::lower_bound(
        entries_.begin(), entries_.end(), at,
        [](const Entry& entry, A address) { return entry.range.last() < address; });
  }

  std::vector<Entry> entries_;
};

}  // namespace gpuvm
