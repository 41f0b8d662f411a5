// SPDX-License-Identifier: Apache-2.0
// IoBus: dispatches an exit's address to the handler whose range holds it. Two instances: I/O ports
// and MMIO. An access reads an immutable sorted map (published.hpp): it takes no lock and none is
// held while a handler runs, so that ranges may move meanwhile.
//
// When a handler leaves. replace() never waits, because a guest moves its BARs from inside of an
// access and under locks that other accesses wait for; what it removed gets no new access, but
// those in flight go on. drain() waits for those to some handlers, and remove() is both. So a
// handler may be destroyed once its ranges were removed and, after that, drain() has returned
// success for it; whoever destroys it calls that, on a thread that is in no access and holds no
// lock that the handler takes. Accesses to others are not waited for: a device's reset is one that
// takes minutes.
#pragma once

#include <atomic>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/published.hpp"
#include "vmm/memory/range_map.hpp"

namespace gpuvm {

/// One place where a handler answers. The handler must outlive the bus or leave it as said above.
template <class A>
struct IoMapping {
  AddressRange<A> range;
  IoHandler* handler;
  std::uint64_t handler_offset = 0;  ///< added to offsets, so that one handler can appear in pieces
};

template <class A>
class IoBus : public Inspectable {
 public:
  explicit IoBus(std::string name) : name_(std::move(name)) {}

  /// Errors: kInternal on overlap. Any thread.
  Status add(const IoMapping<A>& mapping) { return replace({}, {&mapping, 1}); }

  /// Removes the ranges that start at the given bases and adds mappings, all or nothing. Accesses
  /// that begin after it has returned find the new ranges; it waits for none. Errors: kInternal on
  /// overlap. Any thread, handlers too.
  Status replace(std::span<const A> remove, std::span<const IoMapping<A>> mappings) {
    return map_.change([&](Map& next) -> Status {
      for (const A base : remove) {
        next.erase(base);
      }
      for (const auto& mapping : mappings) {
        TRY(next.insert(mapping.range, mapping));
      }
      return {};
    });
  }

  /// Removes the ranges that start at the given bases. When it has returned success, their handlers
  /// are not called there any more and no call is in flight. Errors: kInternal inside of an access,
  /// of this bus or another, and then nothing was removed. No lock held that a handler takes.
  Status remove(std::span<const A> bases) {
    TRY(Versions::check_outside());
    std::vector<const void*> handlers;
    TRY(map_.change([&](Map& next) -> Status {
      for (const A base : bases) {
        const auto* const entry = next.find(base, 1);
        if (entry != nullptr && entry->range.base() == base) {
          handlers.push_back(entry->value.handler);
        }
        next.erase(base);
      }
      return {};
    }));
    return map_.drain(handlers);
  }

  /// Waits for the accesses to these handlers that began before replace() removed their ranges.
  /// Errors and locks: as remove().
  Status drain(std::span<const IoHandler* const> handlers) {
    return map_.drain(std::vector<const void*>(handlers.begin(), handlers.end()));
  }

  /// All ones where nothing answers. Any thread.
  void read(A at, std::span<std::byte> out) {
    const auto map = map_.read();
    const auto* entry = map->find(at, out.size());
    if (entry != nullptr) {
      const auto& mapping = entry->value;
      map.use(mapping.handler);
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
    const auto map = map_.read();
    const auto* entry = map->find(at, in.size());
    if (entry != nullptr) {
      const auto& mapping = entry->value;
      map.use(mapping.handler);
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

  /// `ranges`: from the first address of each range to the name of its handler.
  void inspect(InspectNode& node) const override {
    node.field("unclaimed", unclaimed());
    auto& ranges = node.child("ranges");
    const auto map = map_.read();
    for (const auto& entry : map->entries()) {
      ranges.field(fmt::format("{:#x}", entry.range.base().value()), entry.value.handler->name());
    }
  }

 private:
  using Map = RangeMap<A, IoMapping<A>>;

  void note_unclaimed(std::string_view what, A at, std::size_t size,
                      const typename Map::Entry* entry) {
    unclaimed_.fetch_add(1, std::memory_order_relaxed);
    if (limit_.allow()) {
      log::debug("{}: {} of {} bytes at {:#x} {}", name_, what, size, at.value(),
                 entry == nullptr ? "has no device" : "was refused by its device");
    }
  }

  const std::string name_;
  Published<Map> map_;
  std::atomic<std::uint64_t> unclaimed_{0};
  log::RateLimit limit_;
};

using PortBus = IoBus<IoPort>;
using MmioBus = IoBus<GuestAddress>;

}  // namespace gpuvm
