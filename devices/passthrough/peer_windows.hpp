// SPDX-License-Identifier: Apache-2.0
// PeerWindows: where a BAR of one function is for the DMA of the others: the same addresses as for
// the guest's CPUs, mapped through the IOMMU (peer-to-peer). What the kernel refuses (an address
// that the IOMMU reserves, a BAR that it cannot pin) is left out with a line: the guest runs, and a
// DMA there fails as it does without peer-to-peer. Missing: iommufd's mapping of a BAR by its file.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

/// Not thread safe: as the BarWindow that owns it.
class PeerWindows : public Inspectable {
 public:
  /// `host` has the IOMMU of the functions that may reach the BAR, and must outlive this; nullptr:
  /// none may. `name`: of the BAR, for messages.
  PeerWindows(PhysicalHost* host, std::string name) : host_(host), name_(std::move(name)) {}
  ~PeerWindows() override { clear(); }
  PeerWindows(const PeerWindows&) = delete;
  PeerWindows& operator=(const PeerWindows&) = delete;

  /// Maps host memory, the mapping of a device's BAR, at a guest address.
  void add(std::uint64_t at, std::span<std::byte> bytes);
  /// No function reaches the BAR after this returns.
  void clear();

  void inspect(InspectNode& node) const override;

 private:
  struct Window {
    Iova at;
    std::uint64_t size;
  };

  PhysicalHost* const host_;
  const std::string name_;
  std::vector<Window> windows_;
  std::uint64_t refused_ = 0;
  log::RateLimit limit_;
};

}  // namespace gpuvm
