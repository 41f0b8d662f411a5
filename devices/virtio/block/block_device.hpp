// SPDX-License-Identifier: Apache-2.0
// BlockDevice: virtio-blk (VIRTIO 1.2, 5.2) over a Disk. Requests are carried out one after the
// other, so a flush covers all that came before it. Data goes straight between the disk and guest
// memory. Whatever goes wrong with a disk ends as VIRTIO_BLK_S_IOERR in the guest.
// Missing: several queues, requests in parallel, topology, secure erase.
#pragma once

#include <atomic>
#include <string>

#include "devices/virtio/block/block_spec.hpp"
#include "devices/virtio/block/disk.hpp"
#include "devices/virtio/request_device.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

class BlockDevice : public RequestDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 256;
  /// Most sectors and segments of one request of each kind.
  static constexpr std::uint32_t kMaxDiscardSectors = 1 << 22;  // 2 GiB
  static constexpr std::uint32_t kMaxDiscardSegments = 16;
  static constexpr std::uint32_t kMaxZeroSectors = 1 << 17;  // 64 MiB: may have to be written
  static constexpr std::uint32_t kMaxZeroSegments = 1;

  /// `disk` must outlive this. `id`: what the guest reads as the disk's serial number, at most 20
  /// characters.
  BlockDevice(std::string name, std::string_view id, Disk& disk);

  std::string_view name() const override { return name_; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t features) override;
  Result<Execution> execute(QueueRequest& request) override;

  /// The disk has another size, in bytes, from now on: requests past it are errors, and the driver
  /// is told (5.2.4: capacity). A disk that shrinks does so after this. Any thread, one at a
  /// time, also while the guest runs.
  void resize(std::uint64_t size);

  void inspect(InspectNode& node) const override;

 private:
  struct Outcome {
    virtio_block::RequestStatus status = virtio_block::RequestStatus::kOk;
    std::uint64_t written = 0;  ///< bytes of data for the guest
  };
  Outcome run(const virtio_block::RequestHeader& header, DescriptorChain& chain);
  Outcome read(std::uint64_t sector, const GuestBuffer& data);
  Outcome write(std::uint64_t sector, const GuestBuffer& data);
  Outcome flush();
  Outcome get_id(const GuestBuffer& data) const;
  Outcome change_ranges(virtio_block::RequestType type, GuestBuffer& data);
  virtio_block::RequestStatus change_range(virtio_block::RequestType type,
                                           const virtio_block::RangeSegment& range);
  bool inside(std::uint64_t sector, std::uint64_t sectors) const;
  /// The guest's view of what the disk said.
  virtio_block::RequestStatus judge(const Status& status);

  const std::string name_;
  const std::string id_;
  Disk& disk_;
  const Identity identity_;
  DeviceConfig config_{virtio_block::kConfigSize};
  std::atomic<std::uint64_t> sectors_;
  bool write_through_ = true;  ///< the driver cannot flush: each write is made stable (5.2.6.2)

  struct Counters {
    std::atomic<std::uint64_t> reads{0};
    std::atomic<std::uint64_t> writes{0};
    std::atomic<std::uint64_t> flushes{0};
    std::atomic<std::uint64_t> bytes_read{0};
    std::atomic<std::uint64_t> bytes_written{0};
    std::atomic<std::uint64_t> errors{0};
  };
  Counters counters_;
  log::RateLimit limit_;
};

}  // namespace gpuvm
