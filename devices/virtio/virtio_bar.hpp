// SPDX-License-Identifier: Apache-2.0
// VirtioBar: the one BAR of a virtio function, with all its structures (VIRTIO 1.2, 4.1.4), in the
// guest's address space. Everything in it exits to us except the doorbells.
#pragma once

#include <string>
#include <vector>

#include "devices/pci/bar_space.hpp"
#include "devices/pci/msix_capability.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/bus/doorbells.hpp"
#include "vmm/bus/io_bus.hpp"

namespace gpuvm {

/// Where the structures lie in the BAR. Each kind has a page of its own, so that they cannot grow
/// into each other.
namespace virtio_bar {
constexpr unsigned kBar = 0;
constexpr std::uint64_t kSize = 0x8000;
constexpr std::uint64_t kCommon = 0x0000;
constexpr std::uint64_t kIsr = 0x1000;
constexpr std::uint64_t kDevice = 0x2000;
constexpr std::uint64_t kNotify = 0x3000;
constexpr std::uint64_t kMsixTable = 0x4000;
constexpr std::uint64_t kMsixPending = 0x5000;
/// Bytes from one queue's doorbell to the next (4.1.4.4: an even power of two).
constexpr std::uint32_t kNotifyMultiplier = 4;
/// A driver rings by writing 16 bits (4.1.5.2).
constexpr unsigned kDoorbellSize = 2;
}  // namespace virtio_bar

class VirtioBar : public BarWindow, public Inspectable {
 public:
  /// References must outlive this; `handler` answers accesses, by offsets in the BAR.
  struct Options {
    std::string name;
    IoHandler& handler;
    std::vector<int> doorbells;  ///< eventfds, one for each queue
    Doorbells& controller;
    MmioBus& mmio;
  };
  explicit VirtioBar(Options options) : options_(std::move(options)) {}

  std::string_view name() const override { return options_.name; }
  BarSpaceKind kind() const override { return BarSpaceKind::kMemory; }
  std::uint64_t size() const override { return virtio_bar::kSize; }
  /// Without a doorbell, which is refused only when the host has no more, rings exit to us.
  Status map(std::uint64_t at) override;
  void unmap() override;
  void inspect(InspectNode& node) const override;

 private:
  const Options options_;
  std::optional<GuestAddress> at_;
  std::vector<GuestAddress> connected_;
  log::RateLimit limit_;
};

}  // namespace gpuvm
