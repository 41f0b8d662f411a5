// SPDX-License-Identifier: Apache-2.0
// FunctionBars: all windows of one function (memory and I/O BARs, ROM), from what the physical
// device has, and their way into the BarSpace that all functions share.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devices/passthrough/bar_mapping.hpp"
#include "devices/passthrough/coherent_memory.hpp"
#include "devices/passthrough/function_facts.hpp"
#include "devices/passthrough/function_overlays.hpp"
#include "devices/passthrough/function_plan.hpp"
#include "devices/passthrough/function_view.hpp"
#include "devices/passthrough/rom.hpp"
#include "devices/pci/bar_set.hpp"
#include "devices/pci/bar_space.hpp"
#include "vmm/bus/guest_bus.hpp"

namespace gpuvm {

class FunctionBars : public Inspectable {
 public:
  /// All references must outlive this; those to facts, view and plan create() alone needs.
  struct Options {
    PhysicalDevice& device;
    GuestBus bus;
    BarSpace& space;
    FunctionOverlays& overlays;
    PhysicalHost* peer_host;  ///< as PassthroughFunction::Options
    const FunctionFacts& facts;
    const FunctionView& view;
    const FunctionPlan& plan;
  };

  /// Maps the device's memory into this process. Errors: kHost, kConfig (ROM).
  static Result<std::unique_ptr<FunctionBars>> create(const Options& options);
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
  /// Then: returns when no access to a window is in flight. Not with a lock held that these take.
  /// Errors: kInternal inside of an access.
  Status drain() const;
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

  FunctionBars(BarSpace& space, const GuestBus& bus) : space_(space), bus_(bus) {}
  Status add_bars(const Options& options);
  Status add_coherent(const Options& options);
  Status add_bar(const Options& options, unsigned number, const BarDescription& description);
  std::vector<BarWindow*> all_windows() const;

  BarSpace& space_;
  const GuestBus bus_;
  std::vector<Bar> bars_;
  std::unique_ptr<RomWindow> rom_;
  std::unique_ptr<CoherentMemory> coherent_;
};

}  // namespace gpuvm
