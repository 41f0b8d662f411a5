// SPDX-License-Identifier: Apache-2.0
// FunctionBars: all windows of one function (memory and I/O BARs, ROM), from what the physical
// device has, and their way into the BarSpace that all functions share.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/passthrough/bar_mapping.hpp"
#include "devices/passthrough/coherent_memory.hpp"
#include "devices/passthrough/function_overlays.hpp"
#include "devices/passthrough/msix.hpp"
#include "devices/passthrough/msix_relocation.hpp"
#include "devices/passthrough/rom.hpp"
#include "devices/pci/bar_set.hpp"
#include "devices/pci/bar_space.hpp"

namespace gpuvm {

class FunctionBars : public Inspectable {
 public:
  struct Options {
    PhysicalDevice& device;
    std::span<const std::byte> config;  ///< the hardware's, for the BARs' types
    MemorySlots& slots;
    MmioBus& mmio;
    PortBus& ports;
    BarSpace& space;
    RomSource rom;
    RomIds shown;                    ///< ids that the guest sees
    RomIds real;                     ///< the hardware's
    std::optional<MsixLayout> msix;  ///< as the guest sees it
    FunctionOverlays& overlays;
    CoherentMemory::Source coherent = {};    ///< memory of the guest's CPUs, no BAR of its own
    PhysicalHost* peers = nullptr;           ///< as BarMapping::Options
    std::optional<MsixHome> msix_home = {};  ///< not as the hardware has it
  };

  /// Maps the device's memory into this process. Errors: kHost, kConfig (ROM).
  static Result<std::unique_ptr<FunctionBars>> create(Options options);
  ~FunctionBars() override;
  FunctionBars(const FunctionBars&) = delete;
  FunctionBars& operator=(const FunctionBars&) = delete;

  /// The registers that go with the windows.
  Result<BarSet> make_registers() const;
  /// Decode bits that the hardware needs for the BARs it has.
  std::uint16_t physical_decode() const;

  /// Puts the windows where the registers say; nothing is torn down for what is not decoded.
  void update(std::span<const BarPlacement> placements);
  /// Takes all windows out of the guest now: the device's memory is about to go away.
  void withdraw();
  /// The device's memory is there: shows what is no BAR. Errors: kHost.
  Status show_memory() { return coherent_ ? coherent_->show() : Status(); }
  /// Null without coherent memory.
  CoherentMemory* coherent_memory() { return coherent_.get(); }
  /// The option ROM's contents; empty without one. vCPUs are stopped.
  std::span<const std::byte> rom_image() {
    return rom_ ? rom_->image() : std::span<const std::byte>();
  }
  void inspect(InspectNode& node) const override;

 private:
  struct Bar {
    unsigned number;
    BarDescription description;
    std::unique_ptr<BarMapping> mapping;
  };

  explicit FunctionBars(BarSpace& space) : space_(space) {}
  Status add_bars(const Options& options);
  Status add_bar(const Options& options, unsigned number, const BarDescription& description);
  std::vector<BarWindow*> all_windows() const;

  BarSpace& space_;
  std::vector<Bar> bars_;
  std::unique_ptr<RomWindow> rom_;
  std::unique_ptr<CoherentMemory> coherent_;
};

/// All BARs of a device, of which `config` are the hardware's registers.
BarDescriptions describe_bars(std::span<const std::byte> config, PhysicalDevice& device);

/// What the hardware's dword at 0x10 + 4 * number says, for a region of this size; nothing for no
/// BAR.
std::optional<BarDescription> describe_bar(std::uint32_t hardware, std::uint64_t region_size);

}  // namespace gpuvm
