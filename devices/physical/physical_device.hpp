// SPDX-License-Identifier: Apache-2.0
// PhysicalDevice: one PCI function as the monitor uses it, whatever brings it (kernel VFIO, a
// vfio-user server, a fake in tests). Numbers of regions and interrupts are those of VFIO's PCI
// convention.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/pci/pcie_link.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// Regions of a PCI function.
enum class RegionIndex : std::uint32_t {
  kBar0,
  kBar1,
  kBar2,
  kBar3,
  kBar4,
  kBar5,
  kRom,
  kConfig,
  kVga
};
constexpr RegionIndex bar_region(unsigned bar) {
  return static_cast<RegionIndex>(bar);
}

struct RegionArea {
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
};

/// What a region is that belongs to one vendor's devices (VFIO_REGION_INFO_CAP_TYPE).
struct RegionType {
  std::uint32_t type = 0;     ///< a PCI vendor id with bit 31 set, or one of VFIO's classes
  std::uint32_t subtype = 0;  ///< of that type
  bool operator==(const RegionType&) const = default;
};

struct RegionInfo {
  std::uint64_t size = 0;  ///< bytes; 0: absent
  bool readable = false;
  bool writable = false;
  bool mappable = false;
  bool msix_mappable = false;            ///< the MSI-X table's page may be mapped too
  std::vector<RegionArea> sparse_areas;  ///< when not empty, only these may be mapped
  std::optional<RegionType> type = {};   ///< of regions behind kVga
  /// Ids of all that the host's driver says of it beside size and rights; for reports.
  std::vector<std::uint16_t> capabilities = {};
  /// Whoever brings the function can make the file behind mappings shorter: a store to one would
  /// then end this process.
  bool may_shrink = false;
};

enum class IrqType : std::uint32_t { kIntx, kMsi, kMsix, kError, kRequest };

struct IrqInfo {
  std::uint32_t count = 0;  ///< vectors; 0: absent
  bool maskable = false;
  std::uint32_t flags = 0;  ///< as the host's driver gives them; for reports
};

/// What the host's driver says of a function as a whole (VFIO_DEVICE_GET_INFO); for reports.
struct DriverAnswer {
  std::uint32_t flags = 0;
  std::vector<std::uint16_t> capabilities = {};  ///< ids, in its order
};

/// Where a BAR is.
struct BarPlace {
  unsigned bar = 0;
  std::uint64_t host = 0;      ///< by the host's account: there its mappings and windows lead
  std::uint64_t hardware = 0;  ///< by the function's own register: there it answers
};

/// The link of the card that a virtual function belongs to.
struct CardLink {
  PcieLink now;   ///< as trained
  PcieLink best;  ///< that the card is capable of, no less than `now`
};

/// Called from vCPU threads and the control thread; region accesses may run at once, irq changes
/// may not.
class PhysicalDevice {
 public:
  virtual ~PhysicalDevice() = default;
  /// For messages: "0000:01:00.0", or the path of a socket.
  virtual const std::string& name() const = 0;
  /// True once the function has left for good: it will never answer again. Any thread.
  virtual bool is_gone() const { return false; }
  virtual const RegionInfo& region(RegionIndex index) const = 0;
  /// The size of a region as the device says now, where region() is what it said once. Errors:
  /// kHost.
  virtual Result<std::uint64_t> ask_region_size(RegionIndex index) { return region(index).size; }
  /// Regions behind kVga, which one vendor's devices have: those with a type. region() and map()
  /// take them, read() and write() need not.
  virtual std::vector<RegionIndex> specific_regions() const { return {}; }
  /// 1, 2, 4 or 8 bytes, naturally aligned (config and ROM: any). Errors: kHost; the device may be
  /// gone.
  virtual Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) = 0;
  /// From now on a signal of `event_fd` writes `value`, of 1, 2, 4 or 8 bytes, without this
  /// process; -1 ends it. BARs only. Errors: kHost: not offered.
  virtual Status write_on_event(RegionIndex index, std::uint64_t offset, unsigned size,
                                std::uint64_t value, int event_fd);
  /// Maps part of a mappable region; `alignment` as in MapRequest.
  virtual Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) = 0;

  virtual IrqInfo irq(IrqType type) const = 0;
  /// Connects eventfds to vectors start, start + 1, … (-1: no eventfd for that vector) and enables
  /// the type.
  virtual Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) = 0;
  /// Disables the type altogether.
  virtual Status disable_irqs(IrqType type) = 0;
  /// INTx only: eventfd whose signal unmasks the line (KVM's resample); -1: none any more.
  virtual Status set_intx_unmask_fd(int fd) = 0;
  virtual Status set_intx_masked(bool masked) = 0;

  /// Which AtomicOps of this function something on the way to memory completes: the completer bits
  /// of Device Capabilities 2 (PCI Express Base 6.0, 7.5.3.15) as its root port must show them; 0:
  /// none, or nobody knows. Any thread.
  virtual std::uint32_t atomic_completers() const { return 0; }
  /// SR-IOV (PCI Express Base 6.0, 9.2.1): its ids are like its card's, its registers need not be.
  /// Any thread.
  virtual bool is_virtual_function() const { return false; }
  /// For functions whose own registers show no link because they are virtual; nothing for others.
  /// Any thread.
  virtual std::optional<CardLink> card_link() const { return std::nullopt; }
  /// Any thread.
  virtual DriverAnswer driver_answer() const { return {}; }
  /// The BARs that have an address, where read() shows made-up registers and somebody else knows
  /// the hardware's; nothing: there is nobody to ask, as for a server's or a virtual function. Any
  /// thread. Errors: kHost.
  virtual Result<std::optional<std::vector<BarPlace>>> bar_places() {
    return std::optional<std::vector<BarPlace>>();
  }
  /// The host takes the function away and waits until it is let go of: the last reset was refused
  /// for that, and so will be the next. Any thread.
  virtual bool is_withheld() const { return false; }
  /// True if function_reset() can work on this function (FLR or PM).
  virtual bool has_function_reset() const = 0;
  /// FLR, or what the host's driver offers in its place. May take up to a minute. vCPUs must not
  /// touch the device.
  virtual Status function_reset() = 0;
};

inline Status PhysicalDevice::write_on_event(RegionIndex, std::uint64_t, unsigned, std::uint64_t,
                                             int) {
  return fail(ErrorKind::kHost, "{} takes no writes by events", name());
}

/// A function that a hot reset would also reset.
struct HotResetMember {
  Bdf bdf;
  std::uint32_t group = 0;
  std::string device = {};  ///< name of a function that is not the host's; empty: bdf says it

  /// As PhysicalDevice::name().
  std::string name() const { return device.empty() ? bdf.to_string() : device; }
};

/// Memory to which devices get access: whole pages.
struct DmaMemory {
  std::span<std::byte> bytes;  ///< in this process; stays mapped until unmap_dma()
  int fd = -1;                 ///< the file behind it, for devices in other processes; -1: none
  std::uint64_t file_offset = 0;
};

/// The IOMMU context that all passed-through functions of a guest share, and resets that concern
/// several of them.
class PhysicalHost {
 public:
  virtual ~PhysicalHost() = default;
  /// Gives devices access to memory at iova. Errors: kHost (limits, reserved ranges) with the cure.
  virtual Status map_dma(Iova at, const DmaMemory& memory) = 0;
  /// Bytes after which who maps much should look whether it is still wanted: one map_dma() of more
  /// takes long.
  virtual std::uint64_t map_step() const { return ~std::uint64_t{0}; }
  virtual Status unmap_dma(Iova at, std::uint64_t size) = 0;
  /// What can be mapped at all, ascending; empty: it does not say.
  virtual std::vector<IovaRange> dma_ranges() const { return {}; }
  /// The functions that a hot (secondary bus) reset of this one covers; an error where the host
  /// offers none.
  virtual Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) = 0;
  /// Resets the whole set at once; every member must be ours. May take seconds. Sets that share no
  /// function may be reset at once from several threads. Errors: kUnsafeDevice where the reset has
  /// been and the set did not come back; others where the host refused before anything was reset.
  virtual Status hot_reset(PhysicalDevice& device) = 0;
  /// Whether retrain_link() is possible: the port above the function is known, and all that is
  /// below it is ours. Errors: kHost, why not.
  virtual Status check_link_retrain(PhysicalDevice& device) {
    return fail(ErrorKind::kHost, "{} has no port whose link could be trained", device.name());
  }
  /// Trains the link above the function again, for instance where a hot reset has left it narrow or
  /// down; takes some seconds at most. The functions keep their state. Errors: kHost.
  virtual Status retrain_link(PhysicalDevice& device) { return check_link_retrain(device); }
};

}  // namespace gpuvm
