// SPDX-License-Identifier: Apache-2.0
// IommuGroup: the functions that the host's IOMMU cannot tell apart, and whether VFIO may hand the
// group to a guest (Linux, Documentation/driver-api/vfio.rst, "Groups, Devices, and IOMMUs").
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

class IommuGroup {
 public:
  /// The group of a function. Errors: kConfig where the function is absent, kHost where it has no
  /// group (no IOMMU at work).
  static Result<IommuGroup> of(const HostSystem& host, const Bdf& bdf);

  std::uint32_t number() const { return number_; }
  const std::vector<Bdf>& members() const { return members_; }

  /// Success if every endpoint is in `ours` (will be bound for the guest), already with vfio-pci,
  /// or without a driver. Bridges stay with the host. Errors: kHost naming each function in the
  /// way, its driver and the cure.
  Status check_viable(const HostSystem& host, std::span<const Bdf> ours) const;

 private:
  IommuGroup(std::uint32_t number, std::vector<Bdf> members)
      : number_(number), members_(std::move(members)) {}

  std::uint32_t number_;
  std::vector<Bdf> members_;
};

/// The error for a host whose IOMMU is off: names the boot argument and the BIOS setting.
Error no_iommu_error();

}  // namespace gpuvm
