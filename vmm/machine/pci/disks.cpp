// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/disks.hpp"

#include "devices/virtio/block_device.hpp"
#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

Result<RootBusDevice::Parts> make_disk(std::size_t index, Disk& disk,
                                       const RootBusEnvironment& environment, Gsi pin) {
  auto device = std::make_unique<BlockDevice>(fmt::format("disk-{}", index),
                                              fmt::format("gpuvm-disk-{}", index), disk);
  auto function = TRY(VirtioPci::create({.device = *device,
                                         .backend = TRY(InProcessQueues::create(*device)),
                                         .memory = environment.memory,
                                         .intx_pin = pin,
                                         .mmio = environment.mmio,
                                         .doorbells = environment.doorbells,
                                         .msi = environment.msi,
                                         .pins = environment.pins,
                                         .bar_space = environment.bar_space}));
  return RootBusDevice::Parts{.device = std::move(device), .function = std::move(function)};
}

}  // namespace

Result<DiskFiles> open_disks(const std::vector<DiskConfig>& configs, DiskFile::Use use) {
  DiskFiles files;
  for (const auto& config : configs) {
    files.push_back(TRY_CONTEXT(
        DiskFile::open({.path = config.path, .read_only = config.read_only, .use = use}),
        config.place.or_else(fmt::format("disk.{}", files.size()))));
    log::debug("Disk {}: {}, {} bytes{}", files.size() - 1, config.path,
               files.back()->geometry().size, config.read_only ? ", read-only" : "");
  }
  return files;
}

std::vector<RootBusDevice> disk_devices(const DiskFiles& files) {
  std::vector<RootBusDevice> devices;
  for (std::size_t i = 0; i < files.size(); ++i) {
    devices.push_back(
        {.slot = static_cast<std::uint8_t>(kFirstDiskSlot + i),
         .make = [i, &disk = *files[i]](const RootBusEnvironment& environment, Gsi pin) {
           return make_disk(i, disk, environment, pin);
         }});
  }
  return devices;
}

}  // namespace gpuvm
