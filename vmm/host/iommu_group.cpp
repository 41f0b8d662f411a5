// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/iommu_group.hpp"

#include <algorithm>

#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

// Drivers that do not touch the device on behalf of the host: the kernel lets a group with them go
// to a guest (drivers that set driver_managed_dma, and VFIO's own).
bool is_harmless_driver(std::string_view driver) {
  return driver == "vfio-pci" || driver == "pci-stub" || driver == "pcieport" ||
         driver.ends_with("-vfio-pci") || driver.ends_with("_vfio_pci");
}

}  // namespace

Error no_iommu_error() {
  return fail(ErrorKind::kHost,
              "This host has no IOMMU at work (no /sys/kernel/iommu_groups entries), so no device "
              "can be passed through: switch on VT-d (Intel) or AMD-Vi/IOMMU (AMD) in the BIOS and "
              "boot the host with intel_iommu=on or amd_iommu=on");
}

Result<IommuGroup> IommuGroup::of(const HostSystem& host, const Bdf& bdf) {
  const HostPciDevice device = TRY(HostPciDevice::open(host, bdf));
  const auto number = device.iommu_group();
  if (!number) {
    if (host.list("/sys/kernel/iommu_groups").empty()) {
      return no_iommu_error();
    }
    return fail(ErrorKind::kHost,
                "{} is in no IOMMU group although the host has an IOMMU: it is behind a part of "
                "the chipset that the IOMMU does not cover; try another slot",
                bdf.to_string());
  }
  std::vector<Bdf> members;
  for (const std::string& name :
       host.list(fmt::format("/sys/kernel/iommu_groups/{}/devices", *number))) {
    if (const auto member = Bdf::parse(name)) {
      members.push_back(*member);
    }
  }
  std::sort(members.begin(), members.end());
  return IommuGroup(*number, std::move(members));
}

Status IommuGroup::check_viable(const HostSystem& host, std::span<const Bdf> ours) const {
  std::string obstacles;
  std::string to_add;
  for (const Bdf& member : members_) {
    if (std::find(ours.begin(), ours.end(), member) != ours.end()) {
      continue;
    }
    const HostPciDevice device = TRY(HostPciDevice::open(host, member));
    const auto driver = device.driver();
    if (device.is_bridge() || !driver || is_harmless_driver(*driver)) {
      continue;
    }
    obstacles +=
        fmt::format("{}{} (driver {})", obstacles.empty() ? "" : ", ", member.to_string(), *driver);
    to_add += (to_add.empty() ? "" : ", ") + member.to_string();
  }
  if (obstacles.empty()) {
    return {};
  }
  return fail(ErrorKind::kHost,
              "IOMMU group {} cannot go to the guest while the host drives {}: add {} to the "
              "configuration or set functions = \"all\", or bind it to vfio-pci",
              number_, obstacles, to_add);
}

}  // namespace gpuvm
