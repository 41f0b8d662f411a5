// SPDX-License-Identifier: Apache-2.0
// MSI-X (PCI Express Base 6.0, 7.7.2 and 6.1.4.3): the capability's control word, the vector table
// and the pending bit array as the guest sees them. MsixCapability is a register machine without
// any wiring; Msix connects it to VectorRoutes. Missing: steering tags in Vector Control (TPH).
#pragma once

#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "devices/passthrough/physical_device.hpp"
#include "devices/passthrough/trapped_region.hpp"
#include "devices/passthrough/vector_routes.hpp"

namespace gpuvm {

/// Where the capability's structures are, from its three dwords.
struct MsixLayout {
  std::uint16_t offset = 0;   ///< of the capability in configuration space
  std::uint32_t vectors = 0;  ///< 1 to 2048
  unsigned table_bar = 0;
  std::uint64_t table_offset = 0;
  unsigned pending_bar = 0;
  std::uint64_t pending_offset = 0;

  std::uint64_t table_size() const { return std::uint64_t{vectors} * 16; }
  std::uint64_t pending_size() const { return (std::uint64_t{vectors} + 63) / 64 * 8; }
  /// control: the word at offset 2; table, pending: the dwords at offsets 4 and 8. Nothing if a
  /// BAR index is reserved or the structures overlap.
  static std::optional<MsixLayout> parse(std::uint16_t offset, std::uint16_t control,
                                         std::uint32_t table, std::uint32_t pending);
  /// Pages of `bar` that must exit: the table's, and the pending bits' only if they share one.
  std::optional<RegionArea> trapped_pages(unsigned bar) const;
};

class MsixCapability {
 public:
  struct Entry {
    std::uint32_t address_low = 0;
    std::uint32_t address_high = 0;
    std::uint32_t data = 0;
    std::uint32_t control = 1;  ///< bit 0: masked, which is how it comes out of reset
    bool operator==(const Entry&) const = default;
  };
  /// All that the guest sees.
  struct State {
    bool enabled = false;
    bool function_masked = false;
    std::vector<Entry> table;
  };

  explicit MsixCapability(MsixLayout layout) : layout_(layout) { reset(); }

  const MsixLayout& layout() const { return layout_; }
  bool enabled() const { return state_.enabled; }
  void reset() { state_ = State{.table = std::vector<Entry>(layout_.vectors)}; }

  /// The capability's first dword from that of the hardware.
  std::uint32_t read_header(std::uint32_t hardware) const;
  /// True if enable or function mask changed.
  bool write_header(std::uint32_t value, std::uint32_t mask);

  /// Offsets within the table; anything that does not fit reads as ones and is dropped.
  void read_table(std::uint64_t offset, std::span<std::byte> out) const;
  void write_table(std::uint64_t offset, std::span<const std::byte> in);

  /// What the vector sends, nothing while it is masked or MSI-X is off.
  std::optional<MsiMessage> message(std::uint32_t vector) const;

 private:
  const MsixLayout layout_;
  State state_;
};

/// Wired up. Not thread safe: the function's lock protects it.
class Msix : public Inspectable {
 public:
  Msix(const MsixLayout& layout, PhysicalDevice& device, MsiController& controller)
      : capability_(layout), routes_(device, IrqType::kMsix, controller) {}

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
  void read_pending(std::uint64_t offset, std::span<std::byte> out) const;

  MsixCapability capability_;
  VectorRoutes routes_;
};

/// Msix in the place of one BAR, under the function's lock. Any thread.
class MsixOverlay : public BarOverlay {
 public:
  MsixOverlay(std::mutex& mutex, Msix& msix, unsigned bar)
      : mutex_(mutex), msix_(msix), bar_(bar) {}
  bool touches(std::uint64_t offset, std::uint64_t length) const override {
    return msix_.touches(bar_, offset, length);  // of the layout alone, which never changes
  }
  IoStatus overlay_read(std::uint64_t offset, std::span<std::byte> out) override {
    const std::lock_guard lock(mutex_);
    return msix_.read(bar_, offset, out);
  }
  IoStatus overlay_write(std::uint64_t offset, std::span<const std::byte> in) override {
    const std::lock_guard lock(mutex_);
    return msix_.write(bar_, offset, in);
  }

 private:
  std::mutex& mutex_;
  Msix& msix_;
  const unsigned bar_;
};

}  // namespace gpuvm
