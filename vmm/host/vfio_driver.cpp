// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/vfio_driver.hpp"

#include "vmm/host/pci_device.hpp"

namespace gpuvm {

bool is_vfio_driver(std::string_view driver) {
  return driver == "vfio-pci" || driver.ends_with("-vfio-pci") || driver.ends_with("_vfio_pci");
}

bool is_with_vfio(const HostSystem& host, const Bdf& bdf) {
  const auto driver = host.link_name(pci_sysfs_path(bdf, "driver"));
  return driver && (is_vfio_driver(*driver) || !host.list(pci_sysfs_path(bdf, "vfio-dev")).empty());
}

}  // namespace gpuvm
