// SPDX-License-Identifier: Apache-2.0
// RomWindow: the expansion ROM (PCI Local Bus 3.0, 6.2.5.2 and 6.3) as read-only guest memory. The
// contents are read from the device when the guest enables the ROM for the first time, or given by
// the user (a laptop's GPU has none; a boot GPU's is often a modified copy), or what the host has
// of it elsewhere. Ids in the images are made those that the guest sees.
#pragma once

#include <algorithm>
#include <bit>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/pci/bar_space.hpp"
#include "devices/physical/physical_device.hpp"
#include "firmware/rom/rom_fit.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/units.hpp"
#include "vmm/bus/memory_slots.hpp"

namespace gpuvm {

/// Where a function's ROM comes from.
struct RomSource {
  bool hidden = false;              ///< the guest sees no ROM BAR
  std::vector<std::byte> contents;  ///< in place of the device's own
  /// The file that the contents are from, where they are still to be fitted: what a server's
  /// function is, is not known before it is open.
  std::string unfitted_file = {};
  RomCheck check = RomCheck::kCorrect;
  /// Another copy of the device's ROM on this host, asked for where the device does not let its own
  /// be read. Errors: kHost says why there is none.
  std::function<Result<std::vector<std::byte>>()> fallback = {};
};

/// Makes a ROM file's bytes fit the function (rom_fit.hpp) and logs each change. Errors: kConfig
/// with the file's name: it cannot be this function's.
Status fit_rom_file(const std::string& file, std::vector<std::byte>& contents, RomIds shown,
                    RomIds real, RomCheck check);

class RomWindow : public BarWindow, public Inspectable {
 public:
  struct Options {
    PhysicalDevice& device;
    MemorySlots& slots;
    RomSource source = {};
    RomIds shown = {};  ///< what the guest sees as the function's ids
    RomIds real = {};   ///< the hardware's
  };
  /// Nothing when there is no ROM to show; the reason is logged. Errors: kConfig (contents of
  /// absurd size or for another device; with RomCheck::kStrict the device's own ROM too), kHost
  /// (memory).
  static Result<std::unique_ptr<RomWindow>> create(Options options);

  /// The size of the BAR that shows so many bytes.
  static std::uint64_t size_for(std::uint64_t bytes) {
    return std::bit_ceil(std::max<std::uint64_t>(bytes, kPageSize));
  }

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
  RomWindow(const Options& options, MappedRegion memory);
  void fill(std::span<const std::byte> contents);
  Status fit();

  PhysicalDevice& device_;
  MemorySlots& slots_;
  const RomIds shown_;
  const RomIds real_;
  const RomCheck check_;
  const std::string name_;
  MappedRegion memory_;  ///< filled with ones past the contents; survives guest resets
  bool loaded_ = false;
  std::uint64_t loaded_bytes_ = 0;
  SlotId slot_ = 0;
};

}  // namespace gpuvm
