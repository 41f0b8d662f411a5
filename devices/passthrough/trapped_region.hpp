// SPDX-License-Identifier: Apache-2.0
// TrappedRegion: the part of a BAR that exits to us (memory that cannot be mapped, the MSI-X table
// page, I/O ports). Accesses are forwarded to the physical device in naturally aligned pieces, as a
// root complex would split them, and counted: `gpuvm inspect` shows the hottest offsets, so that
// nobody has to patch a hypervisor to learn why a guest's accesses are slow.
#pragma once

#include <string>

#include "devices/passthrough/hot_offsets.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/bus/io_handler.hpp"

namespace gpuvm {

/// Stands in for the device over part of a BAR (the MSI-X table). Any thread.
class BarOverlay {
 public:
  virtual ~BarOverlay() = default;
  /// True if any byte of [offset, offset + length) is the overlay's to answer.
  virtual bool touches(std::uint64_t offset, std::uint64_t length) const = 0;
  /// Only called where touches() is true; may refuse an access that crosses its edge.
  virtual IoStatus overlay_read(std::uint64_t offset, std::span<std::byte> out) = 0;
  virtual IoStatus overlay_write(std::uint64_t offset, std::span<const std::byte> in) = 0;
};

/// Takes no lock of the function, so a slow device stops only the vCPU that accesses it.
class TrappedRegion : public IoHandler, public Inspectable {
 public:
  /// `overlay` may be nullptr; it and `device` must outlive this.
  TrappedRegion(PhysicalDevice& device, RegionIndex index, BarOverlay* overlay);

  std::string_view name() const override { return name_; }
  /// Offsets are those of the BAR.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void inspect(InspectNode& node) const override;

  const HotOffsets& hot_offsets() const { return hot_offsets_; }

 private:
  /// Size of the next naturally aligned piece of an access.
  static std::size_t piece_size(std::uint64_t offset, std::size_t left);
  IoStatus fail_access(const Error& error);

  PhysicalDevice& device_;
  const RegionIndex index_;
  BarOverlay* const overlay_;
  const std::string name_;
  const std::uint64_t size_;
  HotOffsets hot_offsets_;
  std::atomic<std::uint64_t> errors_{0};
  log::RateLimit limit_;
};

}  // namespace gpuvm
