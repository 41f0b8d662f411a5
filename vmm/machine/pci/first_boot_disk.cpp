// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/first_boot_disk.hpp"

#include "devices/virtio/block/block_device.hpp"
#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/virtio_pci.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kSeedName = "cloud-init";
constexpr std::string_view kSeedSerial = "gpuvm-cloud-init";

Result<RootBusDevice::Parts> make_first_boot(DiskFile& disk, const RootBusEnvironment& environment,
                                             Gsi pin) {
  auto device = std::make_unique<BlockDevice>(std::string(kSeedName), kSeedSerial, disk);
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

Result<std::unique_ptr<DiskFile>> open_first_boot_disk(const UniqueFd& volume) {
  if (!volume) {
    return std::unique_ptr<DiskFile>();
  }
  return TRY_CONTEXT(
      DiskFile::open({.path = fmt::format("/proc/self/fd/{}", volume.get()), .read_only = true}),
      "cloud_init");
}

RootBusDevice first_boot_device(DiskFile& disk) {
  return {.slot = kCloudInitSlot, .make = [&disk](const RootBusEnvironment& environment, Gsi pin) {
            return make_first_boot(disk, environment, pin);
          }};
}

}  // namespace gpuvm
