// SPDX-License-Identifier: Apache-2.0
// BarMapping: one memory or I/O BAR of a physical device in the guest's address space. What the
// host lets us map becomes KVM memory slots over the device's own pages (no exits); the rest, and
// the MSI-X table's page, is trapped. Host mappings are made once and aligned like the BAR, so that
// the kernel can fault them in huge pages (Linux 6.12 and later).
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "devices/passthrough/peer_windows.hpp"
#include "devices/passthrough/trapped_region.hpp"
#include "devices/pci/bar_space.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/bus/guest_bus.hpp"

namespace gpuvm {

/// Which parts of a BAR to map from the host and to show to the guest; pure arithmetic.
struct BarLayout {
  std::vector<RegionArea> host_areas;  ///< one mmap each, sorted, page aligned
  std::vector<RegionArea> direct;      ///< parts of host_areas that the guest reaches without exit
  std::vector<RegionArea> trapped;     ///< the rest of [0, bar_size)

  /// `trapped_area`: page-aligned part that must exit and that the host may keep from us (the MSI-X
  /// table); `trapped_too`: others that must exit, whole pages.
  static BarLayout plan(const RegionInfo& region, std::uint64_t bar_size,
                        std::optional<RegionArea> trapped_area,
                        const std::vector<RegionArea>& trapped_too = {});
  /// Alignment of the virtual address of a host area: as large as huge page faults can use.
  static std::uint64_t alignment(std::uint64_t region_size, RegionArea area);
};

/// Told where a BAR is, under BarSpace's lock. Must not call BarSpace.
class BarListener {
 public:
  virtual ~BarListener() = default;
  /// Nothing: it is nowhere.
  virtual void bar_moved(std::optional<std::uint64_t> at) = 0;
};

class BarMapping : public BarWindow, public Inspectable {
 public:
  struct Options {
    PhysicalDevice& device;
    unsigned bar;  ///< 0 to 5
    BarSpaceKind kind;
    std::uint64_t size;                      ///< of the BAR, a power of two
    std::optional<RegionArea> trapped_area;  ///< must exit; page aligned
    BarOverlay* overlay;                     ///< answers in the trapped area; may be nullptr
    GuestBus bus;
    std::vector<RegionArea> trapped_too = {};  ///< must exit as well; whole pages
    BarListener* listener = nullptr;
    PhysicalHost* peers = nullptr;  ///< maps what is direct for the DMA of other functions too
  };

  /// Maps the device's memory into this process. Errors: kHost.
  static Result<std::unique_ptr<BarMapping>> create(const Options& options);

  std::string_view name() const override { return trap_.name(); }
  BarSpaceKind kind() const override { return options_.kind; }
  std::uint64_t size() const override { return options_.size; }
  Status map(std::uint64_t at) override;
  void unmap() override;
  void inspect(InspectNode& node) const override;

  const HotOffsets& hot_offsets() const { return trap_.hot_offsets(); }
  /// Which has its ranges on the buses.
  const IoHandler& handler() const { return trap_; }

 private:
  struct Direct {
    std::uint64_t offset;
    std::span<std::byte> host;
  };

  explicit BarMapping(const Options& options);
  Status map_host();
  Status map_io(std::uint64_t at);
  Status map_memory(std::uint64_t at);
  Status map_slots(std::uint64_t at);

  const Options options_;
  BarLayout layout_;
  TrappedRegion trap_;
  std::vector<MappedRegion> host_;  ///< never remapped: survives guest resets
  std::vector<Direct> direct_;
  std::vector<SlotId> slots_;  ///< in use now
  PeerWindows peers_;
  std::optional<std::uint64_t> at_;
};

}  // namespace gpuvm
