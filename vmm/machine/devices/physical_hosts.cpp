// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/physical_hosts.hpp"

#include <algorithm>

#include "vmm/owner/owner.hpp"

namespace gpuvm {

void PhysicalHosts::add(PhysicalHost& host, const std::vector<PhysicalDevice*>& devices) {
  const MutexLock lock(mutex_);
  entries_.push_back({&host, devices});
}

void PhysicalHosts::clear() {
  const MutexLock lock(mutex_);
  entries_.clear();
}

void PhysicalHosts::retrain_by(Owner& owner) {
  const MutexLock lock(mutex_);
  trainer_ = &owner;
}

std::pair<Owner*, Bdf> PhysicalHosts::trainer_of(const PhysicalDevice& device) const {
  const MutexLock lock(mutex_);
  const auto bdf = Bdf::parse(device.name());
  return bdf ? std::pair(trainer_, *bdf) : std::pair<Owner*, Bdf>(nullptr, {});
}

std::vector<PhysicalDevice*> PhysicalHosts::devices() const {
  const MutexLock lock(mutex_);
  std::vector<PhysicalDevice*> all;
  for (const Entry& entry : entries_) {
    all.insert(all.end(), entry.devices.begin(), entry.devices.end());
  }
  return all;
}

std::vector<PhysicalHost*> PhysicalHosts::hosts() const {
  const MutexLock lock(mutex_);
  std::vector<PhysicalHost*> all;
  all.reserve(entries_.size());
  for (const Entry& entry : entries_) {
    all.push_back(entry.host);
  }
  return all;
}

Status PhysicalHosts::map_dma(Iova at, const DmaMemory& memory) {
  for (PhysicalHost* const host : hosts()) {
    TRY(host->map_dma(at, memory));
  }
  return {};
}

Status PhysicalHosts::map_in_steps(Iova at, const DmaMemory& memory,
                                   const MapIsUnwanted& is_unwanted) {
  for (PhysicalHost* const host : hosts()) {
    const std::uint64_t step = host->map_step();
    for (std::uint64_t done = 0; done < memory.bytes.size();) {
      const auto bytes = memory.bytes.subspan(done);
      const std::uint64_t size = std::min<std::uint64_t>(step, bytes.size());
      if (is_unwanted(memory.file_offset + done + size)) {
        return fail(ErrorKind::kCancelled, "The devices' access to memory is not wanted any more");
      }
      TRY(host->map_dma(
          at + done,
          {.bytes = bytes.first(size), .fd = memory.fd, .file_offset = memory.file_offset + done}));
      done += size;
    }
  }
  return {};
}

Status PhysicalHosts::unmap_dma(Iova at, std::uint64_t size) {
  for (PhysicalHost* const host : hosts()) {
    TRY(host->unmap_dma(at, size));
  }
  return {};
}

Result<PhysicalHost*> PhysicalHosts::host_of(const PhysicalDevice& device) const {
  const MutexLock lock(mutex_);
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

Status PhysicalHosts::check_link_retrain(PhysicalDevice& device) {
  const auto [trainer, bdf] = trainer_of(device);
  return trainer != nullptr ? trainer->check_link(bdf)
                            : TRY(host_of(device))->check_link_retrain(device);
}

Status PhysicalHosts::retrain_link(PhysicalDevice& device) {
  const auto [trainer, bdf] = trainer_of(device);
  return trainer != nullptr ? trainer->retrain_link(bdf)
                            : TRY(host_of(device))->retrain_link(device);
}

}  // namespace gpuvm
