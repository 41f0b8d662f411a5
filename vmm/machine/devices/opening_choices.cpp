// SPDX-License-Identifier: Apache-2.0
// What a [[pci]] entry says of how its function is opened: the size of a BAR, the token of a virtual
// function.

#include "vmm/host/pci_device.hpp"
#include "vmm/host/vfio_driver.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {

Result<std::optional<BarSizeChoice>> bar_size_of(const HostSystem& host, const PciConfig& entry,
                                                 const Bdf& function) {
  if (!entry.resize_bar || !(function == entry.host)) {
    return std::optional<BarSizeChoice>();
  }
  const BarSizeChoice choice{.bar = entry.resize_bar->bar, .size = entry.resize_bar->size};
  TRY_CONTEXT(plan_bar_resize(host, function, choice), "pci.resize_bar");
  return std::optional(choice);
}

Status check_vf_token(const HostSystem& host, const Bdf& function, const std::string& token) {
  const auto device = TRY(HostPciDevice::open(host, function));
  const auto parent = device.physical_function();
  const bool is_wanted = parent && is_with_vfio(host, *parent);
  if (is_wanted && token.empty()) {
    return fail(ErrorKind::kConfig,
                "{} is a virtual function of {}, which VFIO has: set vf_token to the UUID that was "
                "given to whoever opened that one",
                function.to_string(), parent->to_string());
  }
  if (!token.empty() && parent && !is_wanted) {
    return fail(ErrorKind::kConfig,
                "{} is a virtual function of {}, which has a driver of the host, so the kernel "
                "takes no token: remove vf_token",
                function.to_string(), parent->to_string());
  }
  if (!token.empty() && !parent && !host.exists(pci_sysfs_path(function, "sriov_totalvfs"))) {
    return fail(ErrorKind::kConfig, "{} has nothing to do with virtual functions: remove vf_token",
                function.to_string());
  }
  return {};
}

}  // namespace gpuvm
