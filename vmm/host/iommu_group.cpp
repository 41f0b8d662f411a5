// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/iommu_group.hpp"

#include <algorithm>

#include "vmm/host/pci_device.hpp"
#include "vmm/host/vfio_driver.hpp"

namespace gpuvm {
namespace {

// Drivers that do not touch the device on behalf of the host: the kernel lets a group with them go
// to a guest (drivers that set driver_managed_dma, and VFIO's own).
bool has_harmless_driver(const HostSystem& host, const Bdf& bdf, std::string_view driver) {
  return driver == "pci-stub" || driver == "pcieport" || is_with_vfio(host, bdf);
}

}  // namespace

Error no_iommu_error() {
  return fail(
      ErrorKind::kHost,
      "This host has no IOMMU at work (no /sys/kernel/iommu_groups entries), so no device "
      "can be passed through: switch on VT-d (Intel) or AMD-Vi/IOMMU (AMD) in the BIOS, and "
      "boot an Intel host with intel_iommu=on (AMD's needs no option, but no amd_iommu=off)");
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
  std::string to_unbind;
  bool in_our_slots = true;
  for (const Bdf& member : members_) {
    if (std::find(ours.begin(), ours.end(), member) != ours.end()) {
      continue;
    }
    const HostPciDevice device = TRY(HostPciDevice::open(host, member));
    const auto driver = device.driver();
    if (device.is_bridge() || !driver || has_harmless_driver(host, member, *driver)) {
      continue;
    }
    const std::string_view comma = obstacles.empty() ? "" : ", ";
    obstacles += fmt::format("{}{} (driver {})", comma, member.to_string(), *driver);
    to_add += fmt::format("{}{}", comma, member.to_string());
    to_unbind = to_unbind.empty() ? member.to_string() : to_unbind;
    in_our_slots = in_our_slots && std::any_of(ours.begin(), ours.end(), [&](const Bdf& own) {
                     return own.same_slot(member);
                   });
  }
  if (obstacles.empty()) {
    return {};
  }
  const std::string_view cure =
      in_our_slots ? "set functions = \"all\", so that the guest gets the whole slot"
                   : "put the card into a slot with a group of its own (`gpuvm inspect` shows "
                     "iommu_group)";
  return fail(
      ErrorKind::kHost,
      "IOMMU group {} cannot go to the guest while the host drives {}: {}, or add {} to the "
      "configuration, or take it from its driver (echo {} "
      ">/sys/bus/pci/devices/{}/driver/unbind)",
      number_, obstacles, cure, to_add, to_unbind, to_unbind);
}

}  // namespace gpuvm
