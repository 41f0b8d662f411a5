// SPDX-License-Identifier: Apache-2.0
// MSI-X (PCI Express Base 6.0, 7.7.2 and 6.1.4.3) of a passed-through function: MsixCapability, the
// registers, connected to VectorRoutes.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "devices/passthrough/trapped_region.hpp"
#include "devices/passthrough/vector_routes.hpp"
#include "devices/pci/msix_capability.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// Pages of `bar` that must exit: the table's, and the pending bits' only if they share one.
std::optional<RegionArea> trapped_pages(const MsixLayout& layout, unsigned bar);

/// Wired up. Not thread safe: the function's lock protects it.
class Msix : public Inspectable {
 public:
  /// `layout`: as the guest sees it; `moved_from`: as the hardware has it, where that differs.
  Msix(const MsixLayout& layout, PhysicalDevice& device, MsiController& controller,
       std::optional<MsixLayout> moved_from = {})
      : capability_(layout), moved_from_(moved_from), routes_(device, IrqType::kMsix, controller) {}

  MsixCapability& capability() { return capability_; }
  const MsixCapability& capability() const { return capability_; }
  /// Connects every vector as the registers say. INTx and MSI must be off. Errors: kHost.
  Status enable();
  void disable() { routes_.disable(); }
  /// After a change of the function mask.
  void refresh();

  /// Accesses to the BAR that may touch the structures; offsets within `bar`.
  bool touches(unsigned bar, std::uint64_t offset, std::uint64_t length) const;
  IoStatus read(unsigned bar, std::uint64_t offset, std::span<std::byte> out) const;
  IoStatus write(unsigned bar, std::uint64_t offset, std::span<const std::byte> in);

  void inspect(InspectNode& node) const override;

 private:
  MsixCapability capability_;
  const std::optional<MsixLayout> moved_from_;
  VectorRoutes routes_;
};

/// Msix in the place of one BAR, under the function's lock. Any thread.
class MsixOverlay : public BarOverlay {
 public:
  MsixOverlay(Mutex& mutex, Msix& msix, unsigned bar) : mutex_(mutex), msix_(msix), bar_(bar) {}
  bool touches(std::uint64_t offset, std::uint64_t length) const override GPUVM_UNCHECKED_LOCKING {
    return msix_.touches(bar_, offset, length);  // of the layout alone, which never changes
  }
  IoStatus overlay_read(std::uint64_t offset, std::span<std::byte> out) override {
    const MutexLock lock(mutex_);
    return msix_.read(bar_, offset, out);
  }
  IoStatus overlay_write(std::uint64_t offset, std::span<const std::byte> in) override {
    const MutexLock lock(mutex_);
    return msix_.write(bar_, offset, in);
  }

 private:
  Mutex& mutex_;
  Msix& msix_ GPUVM_GUARDED_BY(mutex_);
  const unsigned bar_;
};

}  // namespace gpuvm
