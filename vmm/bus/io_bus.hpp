// SPDX-License-Identifier: Apache-2.0
// IoBus: dispatches an exit's address to the handler whose range holds it. Two instances: I/O ports
// and MMIO. Lookup takes a snapshot of an immutable sorted map, so no lock is held while a handler
// runs and ranges may move meanwhile.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/memory/range_map.hpp"

namespace gpuvm {

/// One place where a handler answers. The handler must outlive the bus or be removed before it
/// goes.
template <class A>
struct IoMapping {
  AddressRange<A> range;
  IoHandler* handler;
  std::uint64_t handler_offset = 0;  ///< added to offsets, so that one handler can appear in pieces
};

template <class A>
class IoBus : public Inspectable {
 public:
  explicit IoBus(std::string name) : name_(std::move(name)), map_(std::make_shared<const Map>()) {}

  /// Errors: kInternal on overlap. Any thread.
  Status add(const IoMapping<A>& mapping) { return replace({}, {&mapping, 1}); }

  /// Removes the ranges that start at the given bases and adds mappings, all or nothing. Any
  /// thread.
  Status replace(std::span<const A> remove, std::span<const IoMapping<A>> mappings) {
    const std::lock_guard lock(mutex_);
    auto next = std::make_shared<Map>(*map_);
    for (const A base : remove) {
      next->erase(base);
    }
    for (const auto& mapping : mappings) {
      TRY(next->insert(mapping.range, mapping));
    }
    map_ = std::move(next);
    return {};
  }

  /// All ones where nothing answers. Any thread.
  void read(A at, std::span<std::byte> out) {
    const auto map = snapshot();
    const auto* entry = map->find(at, out.size());
    if (entry != nullptr) {
      const auto& mapping = entry->value;
      const auto status =
          mapping.handler->read(at - mapping.range.base() + mapping.handler_offset, out);
      if (status == IoStatus::kOk) {
        return;
      }
    }
    std::fill(out.begin(), out.end(), std::byte{0xff});
    note_unclaimed("read", at, out.size(), entry);
  }

  /// Dropped where nothing answers. Any thread.
  void write(A at, std::span<const std::byte> in) {
    const auto map = snapshot();
    const auto* entry = map->find(at, in.size());
    if (entry != nullptr) {
      const auto& mapping = entry->value;
      const auto status =
          mapping.handler->write(at - mapping.range.base() + mapping.handler_offset, in);
      if (status == IoStatus::kOk) {
        return;
      }
    }
    note_unclaimed("write", at, in.size(), entry);
  }

  /// Accesses that nothing answered.
  std::uint64_t unclaimed() const { return unclaimed_.load(std::memory_order_relaxed); }

  void inspect(InspectNode& node) const override {
    node.field("unclaimed", unclaimed());
    for (const auto& entry : snapshot()->entries()) {
      node.hex(entry.value.handler->name(), entry.range.base().value());
    }
  }

 private:
  using Map = RangeMap<A, IoMapping<A>>;

  std::shared_ptr<const Map> snapshot() const {
    const std::lock_guard lock(mutex_);
    return map_;
  }

  void note_unclaimed(std::string_view what, A at, std::size_t size,
                      const typename Map::Entry* entry) {
    unclaimed_.fetch_add(1, std::memory_order_relaxed);
    if (limit_.allow()) {
      log::debug("{}: {} of {} bytes at {:#x} {}", name_, what, size, at.value(),
                 entry == nullptr ? "has no device" : "was refused by its device");
    }
  }

  const std::string name_;
  mutable std::mutex mutex_;  ///< guards map_ (the pointer; the map itself never changes)
  std::shared_ptr<const Map> map_;
  std::atomic<std::uint64_t> unclaimed_{0};
  log::RateLimit limit_;
};

using PortBus = IoBus<IoPort>;
using MmioBus = IoBus<GuestAddress>;

}  // namespace gpuvm
