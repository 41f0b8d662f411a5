// SPDX-License-Identifier: Apache-2.0
// CoherentMemory: memory of a device that the CPU addresses like its own (NVLink's V100, Grace
// Hopper), as guest memory: one KVM memory slot straight over the device's mapping. This process
// never reads, writes, prefaults or DMA-maps it: before the guest's driver has trained the link an
// access may be an error of the machine. It is no RAM of GuestMemory, so no device of ours reaches
// it either.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/bus/memory_slots.hpp"

namespace gpuvm {

/// Calls come one at a time.
class CoherentMemory : public Inspectable {
 public:
  /// What the configuration calls memory: a BAR, or a device-specific region.
  struct Source {
    std::optional<unsigned> bar = {};
    std::optional<RegionType> region = {};

    bool is_there() const { return bar.has_value() || region.has_value(); }
    std::string to_string() const;  ///< "bar = 2", as the configuration has it
  };
  /// Maps it into this process's address space, without touching it. References must outlive this.
  /// Errors: kConfig for a source that the device does not have, or whose memory the host does not
  /// let us map as a whole; kHost.
  static Result<std::unique_ptr<CoherentMemory>> create(PhysicalDevice& device,
                                                        const Source& source, MemorySlots& slots);
  ~CoherentMemory() override { hide(); }

  /// Bytes that the guest gets: those of the region, which may be no power of two.
  std::uint64_t size() const { return host_.size(); }
  /// Where the guest is to see it; before show().
  void place(GuestAddress at) { at_ = at; }
  std::optional<GuestAddress> address() const { return at_; }
  /// The guest reaches it from now on. Does nothing before place(). Errors: kHost, kInternal.
  Status show();
  /// It does not any more: the device is about to be reset.
  void hide();
  void inspect(InspectNode& node) const override;

 private:
  CoherentMemory(MappedRegion host, const Source& source, MemorySlots& slots)
      : host_(std::move(host)), source_(source), slots_(slots) {}

  MappedRegion host_;  ///< survives guest resets
  const Source source_;
  MemorySlots& slots_;
  std::optional<GuestAddress> at_;
  SlotId slot_ = 0;
};

}  // namespace gpuvm
