// SPDX-License-Identifier: Apache-2.0
// BarSpace: who is mapped where, for the BARs of all functions of a machine, passed through
// or emulated. PCI Local Bus 3.0, 6.2.5 (address decoding) lets a guest write any value to a BAR at
// any time; this is where such values become KVM slots and bus ranges, under these rules:
// - a window is placed only when its function decodes it at a final address;
// - all windows of one function are changed at once;
// - a window that is no longer decoded stays where it is (guests toggle decode for every BAR they
//   size, and a slot of 128 GiB costs a second to make), unless another wants its place;
// - a window whose place is forbidden or taken keeps its old mapping while that is in nobody's way,
//   and is tried again when anything changes. Never an abort.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

enum class BarSpaceKind { kMemory, kIo };

/// Something that appears at an address of the guest. map() and unmap() are called under BarSpace's
/// lock and must not call it.
class BarWindow {
 public:
  virtual ~BarWindow() = default;
  virtual std::string_view name() const = 0;
  virtual BarSpaceKind kind() const = 0;
  /// Bytes, a power of two.
  virtual std::uint64_t size() const = 0;
  /// `at` is a multiple of size(). On error nothing is mapped.
  virtual Status map(std::uint64_t at) = 0;
  /// No vCPU that touches the address later reaches the window. An access that began before may
  /// still be in its handler: the caller is often inside of one itself (io_bus.hpp).
  virtual void unmap() = 0;
};

class BarSpace : public Inspectable {
 public:
  struct Forbidden {
    GuestRange range;
    std::string what;  ///< "RAM", "ECAM", …
  };

  /// Where a window is to be: nothing when it is not decoded or has no final address.
  struct Placement {
    BarWindow* window;
    std::optional<std::uint64_t> at;
  };

  /// `forbidden`: guest physical ranges where no BAR may go (RAM, ECAM, I/O APIC, local APIC).
  explicit BarSpace(std::vector<Forbidden> forbidden) : forbidden_(std::move(forbidden)) {}

  /// Applies what one function wants, see the rules above. Any thread.
  void update(std::span<const Placement> placements);
  /// Unmaps these windows now; they want nothing afterwards. Any thread.
  void withdraw(std::span<BarWindow* const> windows);
  /// As withdraw(), and forgets them. They may be destroyed once their buses were drained
  /// (io_bus.hpp), too. Any thread.
  void remove(std::span<BarWindow* const> windows);
  /// Another range is forbidden under this name from now on, or none; windows in its way go. Any
  /// thread.
  void set_forbidden(std::string_view what, std::optional<GuestRange> range);
  /// Placements refused since the start.
  std::uint64_t refused() const;
  void inspect(InspectNode& node) const override;

 private:
  struct Record {
    BarWindow* window;
    std::optional<std::uint64_t> mapped;   ///< where it is
    std::optional<std::uint64_t> wanted;   ///< where the guest put it
    std::optional<std::uint64_t> refused;  ///< the address a line was already written for
    bool live() const { return mapped.has_value() && mapped == wanted; }
  };

  Record& record_of(BarWindow& window) GPUVM_REQUIRES(mutex_);
  void withdraw_now(std::span<BarWindow* const> windows) GPUVM_REQUIRES(mutex_);
  void settle() GPUVM_REQUIRES(mutex_);
  /// The place is free of everything but stale mappings; else the reason why not.
  std::optional<std::string> obstacle(const Record& record) const GPUVM_REQUIRES(mutex_);
  void move(Record& record) GPUVM_REQUIRES(mutex_);
  void evict_stale(const Record& newcomer) GPUVM_REQUIRES(mutex_);
  void restore(Record& record, std::uint64_t previous) GPUVM_REQUIRES(mutex_);
  void refuse(Record& record, std::string_view reason) GPUVM_REQUIRES(mutex_);
  static void unmap(Record& record);
  static GuestRange range_at(const Record& record, std::uint64_t base);
  static bool overlap(const Record& a, std::uint64_t a_base, const Record& b, std::uint64_t b_base);

  log::RateLimit limit_;
  mutable Mutex mutex_;
  std::vector<Forbidden> forbidden_ GPUVM_GUARDED_BY(mutex_);
  std::vector<Record> records_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t refused_ GPUVM_GUARDED_BY(mutex_) = 0;
};

}  // namespace gpuvm
