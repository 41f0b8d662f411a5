// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/bar_space.hpp"

#include <algorithm>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kIoSpaceEnd = 0x10000;

}  // namespace

/// base: checked by obstacle().
GuestRange BarSpace::range_at(const Record& record, std::uint64_t base) {
  return *GuestRange::create(GuestAddress(base), record.window->size());
}

bool BarSpace::overlap(const Record& a, std::uint64_t a_base, const Record& b,
                       std::uint64_t b_base) {
  return a.window->kind() == b.window->kind() && range_at(a, a_base).overlaps(range_at(b, b_base));
}

BarSpace::Record& BarSpace::record_of(BarWindow& window) {
  const auto found = std::find_if(records_.begin(), records_.end(),
                                  [&](const Record& r) { return r.window == &window; });
  if (found != records_.end()) {
    return *found;
  }
  records_.push_back(Record{.window = &window, .mapped = {}, .wanted = {}, .refused = {}});
  return records_.back();
}

void BarSpace::unmap(Record& record) {
  if (record.mapped) {
    record.window->unmap();
    record.mapped.reset();
  }
}

void BarSpace::update(std::span<const Placement> placements) {
  const MutexLock lock(mutex_);
  for (const auto& placement : placements) {
    auto& record = record_of(*placement.window);
    if (record.wanted != placement.at) {
      record.refused.reset();
    }
    record.wanted = placement.at;
  }
  settle();
}

void BarSpace::withdraw_now(std::span<BarWindow* const> windows) {
  for (auto* window : windows) {
    auto& record = record_of(*window);
    unmap(record);
    record.wanted.reset();
    record.refused.reset();
  }
}

void BarSpace::withdraw(std::span<BarWindow* const> windows) {
  const MutexLock lock(mutex_);
  withdraw_now(windows);
  settle();
}

void BarSpace::remove(std::span<BarWindow* const> windows) {
  const MutexLock lock(mutex_);
  withdraw_now(windows);
  std::erase_if(records_, [&](const Record& record) {
    return std::find(windows.begin(), windows.end(), record.window) != windows.end();
  });
  settle();
}

void BarSpace::set_forbidden(std::string_view what, std::optional<GuestRange> range) {
  const MutexLock lock(mutex_);
  std::erase_if(forbidden_, [what](const Forbidden& entry) { return entry.what == what; });
  if (range) {
    forbidden_.push_back({*range, std::string(what)});
    for (auto& record : records_) {
      if (record.mapped && record.window->kind() == BarSpaceKind::kMemory &&
          range->overlaps(range_at(record, *record.mapped))) {
        unmap(record);
      }
    }
  }
  settle();
}

// Blockers are only live windows (mapped where they are wanted), and those do not move here: one
// pass decides, whatever the order. Also tries again what was refused before.
void BarSpace::settle() {
  for (auto& record : records_) {
    if (!record.wanted || record.live()) {
      continue;
    }
    if (const auto reason = obstacle(record)) {
      refuse(record, *reason);
    } else {
      move(record);
    }
  }
}

std::optional<std::string> BarSpace::obstacle(const Record& record) const {
  const auto base = *record.wanted;
  const auto size = record.window->size();
  const auto range = GuestRange::create(GuestAddress(base), size);
  if (!range || !is_aligned(base, size)) {
    return "it is unaligned or runs past the end of the address space";
  }
  if (record.window->kind() == BarSpaceKind::kIo) {
    if (range->last().value() >= kIoSpaceEnd) {
      return "it is outside the I/O space";
    }
  } else {
    for (const auto& forbidden : forbidden_) {
      if (forbidden.range.overlaps(*range)) {
        return "it covers " + forbidden.what;
      }
    }
  }
  for (const auto& other : records_) {
    if (other.window != record.window && other.live() &&
        overlap(record, base, other, *other.mapped)) {
      return fmt::format("{} is there", other.window->name());
    }
  }
  return std::nullopt;
}

void BarSpace::evict_stale(const Record& newcomer) {
  for (auto& other : records_) {
    if (other.window != newcomer.window && other.mapped &&
        overlap(newcomer, *newcomer.wanted, other, *other.mapped)) {
      unmap(other);
    }
  }
}

void BarSpace::move(Record& record) {
  const auto previous = record.mapped;
  unmap(record);
  evict_stale(record);
  const auto status = record.window->map(*record.wanted);
  if (status) {
    record.mapped = record.wanted;
    record.refused.reset();
    return;
  }
  refuse(record, status.error().to_string());
  if (previous) {
    restore(record, *previous);
  }
}

void BarSpace::restore(Record& record, std::uint64_t previous) {
  const bool taken = std::any_of(records_.begin(), records_.end(), [&](const Record& other) {
    return other.window != record.window && other.mapped &&
           overlap(record, previous, other, *other.mapped);
  });
  if (!taken && record.window->map(previous)) {
    record.mapped = previous;
  }
}

void BarSpace::refuse(Record& record, std::string_view reason) {
  if (record.refused == record.wanted) {
    return;  // said already, nothing changed for it
  }
  record.refused = record.wanted;
  ++refused_;
  if (limit_.allow()) {
    log::warn("{}: Cannot place it at {:#x}: {}", record.window->name(), *record.wanted, reason);
  }
}

std::uint64_t BarSpace::refused() const {
  const MutexLock lock(mutex_);
  return refused_;
}

void BarSpace::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("refused_placements", refused_);
  for (const auto& record : records_) {
    auto& child = node.child(record.window->name());
    child.hex("size", record.window->size());
    if (record.mapped) {
      child.hex("mapped_at", *record.mapped);
      child.field("stale", !record.live());
    }
    if (record.wanted && !record.live()) {
      child.hex("refused_at", *record.wanted);
    }
  }
  for (const auto& forbidden : forbidden_) {
    auto& child = node.child("forbidden").child(forbidden.what);
    child.hex("base", forbidden.range.base().value());
    child.hex("size", forbidden.range.size());
  }
}

}  // namespace gpuvm
