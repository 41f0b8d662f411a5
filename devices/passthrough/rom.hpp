// SPDX-License-Identifier: Apache-2.0
// RomWindow: the expansion ROM (PCI Local Bus 3.0, 6.2.5.2 and 6.3) as read-only guest memory. The
// contents are read from the device when the guest enables the ROM for the first time, or given by
// the user (a laptop's GPU has none; a boot GPU's is often a modified copy). Missing: correction of
// a device id in the image that differs from that of the device.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/passthrough/physical_device.hpp"
#include "devices/pci/bar_space.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/bus/memory_slots.hpp"

namespace gpuvm {

class RomWindow : public BarWindow, public Inspectable {
 public:
  /// `contents`: in place of the device's own ROM. Nothing when there is no ROM to show: size 0, or
  /// the device does not let it be read. Errors: kConfig (contents of absurd size), kHost (memory).
  static Result<std::unique_ptr<RomWindow>> create(PhysicalDevice& device, MemorySlots& slots,
                                                   std::vector<std::byte> contents);

  std::string_view name() const override { return name_; }
  BarSpaceKind kind() const override { return BarSpaceKind::kMemory; }
  std::uint64_t size() const override { return memory_.size(); }
  Status map(std::uint64_t at) override;
  void unmap() override;
  void inspect(InspectNode& node) const override;

  /// Reads the contents if that is still to be done; slow, so call it before map(), which runs
  /// under a lock that others need.
  void load();
  /// The contents as the device has them, which load() reads if need be: at most as long as the ROM
  /// BAR. Survives resets. vCPUs are stopped.
  std::span<const std::byte> image();

  /// Largest ROM that is shown; the ROM BAR allows 16 MiB (PCI Local Bus 3.0, 6.2.5.2).
  static constexpr std::uint64_t kMaximumSize = std::uint64_t{16} << 20;

 private:
  RomWindow(PhysicalDevice& device, MemorySlots& slots, MappedRegion memory);

  PhysicalDevice& device_;
  MemorySlots& slots_;
  const std::string name_;
  MappedRegion memory_;  ///< filled with ones past the contents; survives guest resets
  bool loaded_ = false;
  std::uint64_t loaded_bytes_ = 0;
  SlotId slot_ = 0;
};

}  // namespace gpuvm
