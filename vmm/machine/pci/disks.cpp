// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/disks.hpp"

#include "devices/virtio/block/block_device.hpp"
#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/pci/served_disk.hpp"

namespace gpuvm {
namespace {

/// What a disk is, apart from its file.
struct DiskPlace {
  std::size_t index;  ///< of the [[disk]]
  unsigned cpus;      ///< of the guest
  DiskFile::Use use;
};

DiskFile::Cache cache_of(DiskCache cache) {
  switch (cache) {
    case DiskCache::kWriteback:
      return DiskFile::Cache::kWriteback;
    case DiskCache::kNone:
      return DiskFile::Cache::kNone;
    case DiskCache::kUnsafe:
      return DiskFile::Cache::kUnsafe;
  }
  return DiskFile::Cache::kWriteback;
}

/// A raw file or block device, served by this process.
class RawDisk : public GuestDisk {
 public:
  static Result<std::unique_ptr<GuestDisk>> open(const DiskConfig& config, const DiskPlace& place) {
    auto file = TRY(DiskFile::open({.path = config.path,
                                    .read_only = config.read_only,
                                    .use = place.use,
                                    .cache = cache_of(config.cache),
                                    .discard = config.discard}));
    if (config.path.ends_with(".qcow2")) {
      log::warn(
          "disk.{}: {} is named as a qcow2 image and has the bytes of a raw one, as which it is "
          "used",
          place.index, config.path);
    }
    log::debug("Disk {}: {}, {} bytes{}", place.index, config.path, file->geometry().size,
               config.read_only ? ", read-only" : "");
    return std::unique_ptr<GuestDisk>(new RawDisk(config, place, std::move(file)));
  }

  Result<RootBusDevice::Parts> make(const RootBusEnvironment& environment, Gsi pin) override {
    auto device = std::make_unique<BlockDevice>(
        fmt::format("disk-{}", place_.index), serial_of(config_, place_.index), *file_,
        BlockDevice::Options{
            .queues = static_cast<std::uint16_t>(queues_of(config_, place_.cpus)),
            .limits = {.requests = config_.throttle.iops, .bytes = config_.throttle.bandwidth}});
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

 private:
  RawDisk(const DiskConfig& config, const DiskPlace& place, std::unique_ptr<DiskFile> file)
      : config_(config), place_(place), file_(std::move(file)) {}
  const DiskConfig config_;
  const DiskPlace place_;
  const std::unique_ptr<DiskFile> file_;
};

/// Who serves which disk: another kind of server is another line here.
Result<std::unique_ptr<GuestDisk>> open_disk(const DiskConfig& config, const DiskPlace& place,
                                             const OnDiskLost& on_lost, const HelperRules& rules) {
  if (!is_served(config)) {
    return RawDisk::open(config, place);
  }
  if (place.use == DiskFile::Use::kLook) {
    TRY(ServedDisk::check(config));
    return std::unique_ptr<GuestDisk>();
  }
  return std::unique_ptr<GuestDisk>(
      TRY(ServedDisk::start(config, place.index, queues_of(config, place.cpus), rules, on_lost)));
}

}  // namespace

bool has_served_disks(const std::vector<DiskConfig>& disks) {
  return std::any_of(disks.begin(), disks.end(), is_served);
}

unsigned queues_of(const DiskConfig& config, unsigned cpus) {
  constexpr unsigned kMostByDefault = 4;
  return config.queues.value_or(std::min(cpus, kMostByDefault));
}

Result<GuestDisks> open_disks(const std::vector<DiskConfig>& configs, unsigned cpus,
                              DiskFile::Use use, const OnDiskLost& on_lost,
                              const HelperRules& rules) {
  GuestDisks disks;
  for (const auto& config : configs) {
    disks.push_back(TRY_CONTEXT(
        open_disk(config, {.index = disks.size(), .cpus = cpus, .use = use}, on_lost, rules),
        config.place.or_else(fmt::format("disk.{}", disks.size()))));
  }
  return disks;
}

std::vector<RootBusDevice> disk_devices(const GuestDisks& disks) {
  std::vector<RootBusDevice> devices;
  for (std::size_t i = 0; i < disks.size(); ++i) {
    devices.push_back({.slot = static_cast<std::uint8_t>(kFirstDiskSlot + i),
                       .make = [&disk = *disks[i]](const RootBusEnvironment& environment, Gsi pin) {
                         return disk.make(environment, pin);
                       }});
  }
  return devices;
}

}  // namespace gpuvm
