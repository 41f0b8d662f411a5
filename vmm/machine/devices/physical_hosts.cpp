// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/physical_hosts.hpp"

#include <algorithm>

namespace gpuvm {

void PhysicalHosts::add(PhysicalHost& host, const std::vector<PhysicalDevice*>& devices) {
  entries_.push_back({&host, devices});
}

std::vector<PhysicalDevice*> PhysicalHosts::devices() const {
  std::vector<PhysicalDevice*> all;
  for (const Entry& entry : entries_) {
    all.insert(all.end(), entry.devices.begin(), entry.devices.end());
  }
  return all;
}

Status PhysicalHosts::map_dma(Iova at, const DmaMemory& memory) {
  for (const Entry& entry : entries_) {
    TRY(entry.host->map_dma(at, memory));
  }
  return {};
}

Status PhysicalHosts::unmap_dma(Iova at, std::uint64_t size) {
  for (const Entry& entry : entries_) {
    TRY(entry.host->unmap_dma(at, size));
  }
  return {};
}

Result<PhysicalHost*> PhysicalHosts::host_of(const PhysicalDevice& device) const {
  for (const Entry& entry : entries_) {
    if (std::find(entry.devices.begin(), entry.devices.end(), &device) != entry.devices.end()) {
      return entry.host;
    }
  }
  return fail(ErrorKind::kInternal, "{} belongs to no host", device.name());
}

Result<std::vector<HotResetMember>> PhysicalHosts::hot_reset_set(PhysicalDevice& device) {
  return TRY(host_of(device))->hot_reset_set(device);
}

Status PhysicalHosts::hot_reset(PhysicalDevice& device) {
  return TRY(host_of(device))->hot_reset(device);
}

}  // namespace gpuvm
