// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/served_disk.hpp"

#include "devices/virtio/block/block_spec.hpp"
#include "devices/virtio/vhost_user/vhost_user_device.hpp"
#include "devices/virtio/vhost_user/vhost_user_queues.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kClassStorage = 0x018000;  // PCI Code and ID Assignment: "other"
constexpr std::uint16_t kServedQueueSize = 128;    // what the server's seg_max is made for
// VIRTIO 1.2, 5.2.3. Not CONFIG_WCE: the driver would write to the configuration.
constexpr std::uint64_t kTopology = 1 << 10;
constexpr std::uint64_t kServedFeatures =
    virtio_block::kFeatureSegmentMax | virtio_block::kFeatureReadOnly |
    virtio_block::kFeatureBlockSize | virtio_block::kFeatureFlush | kTopology |
    virtio_block::kFeatureMultiQueue | virtio_block::kFeatureDiscard |
    virtio_block::kFeatureWriteZeroes;

ImageFormat format_of(DiskFormat format) {
  switch (format) {
    case DiskFormat::kRaw:
      return ImageFormat::kRaw;
    case DiskFormat::kQcow2:
      return ImageFormat::kQcow2;
    case DiskFormat::kVmdk:
      return ImageFormat::kVmdk;
    case DiskFormat::kVdi:
      return ImageFormat::kVdi;
    case DiskFormat::kVhdx:
      return ImageFormat::kVhdx;
  }
  return ImageFormat::kRaw;
}

/// What is thrown away need not reach the storage.
StorageDaemon::Options options_of(const DiskConfig& config, unsigned queues) {
  return {.path = config.path,
          .format = format_of(config.format),
          .read_only = config.read_only,
          .throwaway = config.throwaway,
          .direct = config.cache == DiskCache::kNone,
          .no_flush = config.cache == DiskCache::kUnsafe || config.throwaway,
          .discard = config.discard,
          .queues = queues,
          .iops = config.throttle.iops,
          .bandwidth = config.throttle.bandwidth};
}

}  // namespace

Status ServedDisk::check(const DiskConfig& config) {
  return StorageDaemon::check(options_of(config, 1));
}

Result<std::unique_ptr<ServedDisk>> ServedDisk::start(const DiskConfig& config, std::size_t index,
                                                      unsigned queues, const HelperRules& rules,
                                                      OnDiskLost on_lost) {
  TRY(check(config));
  std::unique_ptr<ServedDisk> disk(
      new ServedDisk(index, queues, config.discard, std::move(on_lost)));
  auto options = options_of(config, queues);
  options.profile = rules.is_confined ? &storage_daemon_profile() : nullptr;
  options.user = rules.user;
  options.on_end = [raw = disk.get()](const Error& error) { raw->server_ended(error); };
  disk->daemon_ = TRY(StorageDaemon::start(options));
  auto client = vhost_user::Client::create(
      disk->daemon_->take_socket(),
      {.name = "qemu-storage-daemon",
       .on_lost = [raw = disk.get()](const Error& error) { raw->connection_lost(error); }});
  if (!client) {
    return disk->daemon_->explain(client.error()).with_context(config.path);
  }
  disk->client_ = std::move(*client);
  log::debug("Disk {}: {}, served by qemu-storage-daemon", index, config.path);
  disk->is_serving_ = true;
  if (const auto end = disk->daemon_->end()) {  // before anybody would have been told
    return *end;
  }
  return disk;
}

/// How it ended says more than that its connection is closed, so this is what is told of it.
void ServedDisk::server_ended(const Error& error) {
  tell(error);
}

/// Any thread, also before start() has returned. It may still be there: nothing that it writes from
/// now on may reach the guest's memory.
void ServedDisk::connection_lost(const Error& error) {
  daemon_->kill();
  if (!error.to_string().ends_with(vhost_user::kClosed)) {
    tell(error);
  }
}

void ServedDisk::tell(const Error& error) {
  if (is_serving_.exchange(false) && on_lost_) {
    on_lost_(name_, error);
  }
}

Result<RootBusDevice::Parts> ServedDisk::make(const RootBusEnvironment& environment, Gsi pin) {
  const std::uint64_t features =
      discard_ ? kServedFeatures : kServedFeatures & ~virtio_block::kFeatureDiscard;
  auto device =
      TRY(VhostUserDevice::create({.name = name_,
                                   .identity = {.type = virtio::kDeviceBlock,
                                                .class_code = kClassStorage,
                                                .features = features,
                                                .queues = static_cast<std::uint16_t>(queues_),
                                                .queue_size = kServedQueueSize,
                                                .config_size = virtio_block::kConfigSize},
                                   .client = *client_,
                                   .config_from_server = true}));
  auto function = TRY(VirtioPci::create(
      {.device = *device,
       .backend = std::make_unique<VhostUserQueues>(VhostUserQueues::Options{.client = *client_}),
       .memory = environment.memory,
       .intx_pin = pin,
       .mmio = environment.mmio,
       .doorbells = environment.doorbells,
       .msi = environment.msi,
       .pins = environment.pins,
       .bar_space = environment.bar_space}));
  return RootBusDevice::Parts{.device = std::move(device), .function = std::move(function)};
}

}  // namespace gpuvm
