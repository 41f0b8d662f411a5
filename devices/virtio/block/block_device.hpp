// SPDX-License-Identifier: Apache-2.0
// BlockDevice: virtio-blk (VIRTIO 1.2, 5.2) over a Disk. Requests are on their way at once where
// the disk has queues for that, else each is carried out before the next of its queue; a flush
// covers what was answered before it came (5.2.6.2). Data goes straight between the disk and guest
// memory. Whatever goes wrong with a disk ends as VIRTIO_BLK_S_IOERR in the guest. Missing:
// topology, secure erase.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "devices/virtio/block/block_queue.hpp"
#include "devices/virtio/block/block_spec.hpp"
#include "devices/virtio/block/disk.hpp"
#include "devices/virtio/request_device.hpp"
#include "devices/virtio/throttle.hpp"
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

  /// How often the disk's size is looked at while the driver lets the device run. There is no event
  /// for it: inotify(7) would tell of each of our own writes, and of a block device nothing.
  static constexpr std::chrono::milliseconds kLookEvery{1000};

  struct Options {
    std::uint16_t queues = 1;  ///< at least 1
    Throttle::Limits limits = {};
  };
  /// `disk` must outlive this. `id`: what the guest reads as the disk's serial number, at most 20
  /// characters.
  BlockDevice(std::string name, std::string_view id, Disk& disk, const Options& options);
  BlockDevice(std::string name, std::string_view id, Disk& disk)
      : BlockDevice(std::move(name), id, disk, Options()) {}

  std::string_view name() const override { return name_; }
  const Identity& identity() const override { return identity_; }
  DeviceConfig& config() override { return config_; }
  void start(std::uint64_t features) override;
  /// A thread for each queue: no queue waits for what another one's requests wait for, and the
  /// kernel's side of a queue belongs to the thread that submits to it.
  bool has_thread_per_queue() const override { return true; }
  EventSource* queue_events(std::size_t queue) override { return queues_[queue].get(); }
  std::chrono::milliseconds rest_of(std::size_t queue) override;
  Result<Execution> execute(QueueRequest& request) override;
  void end_batch(std::size_t queue) override;
  std::chrono::milliseconds patience_of(std::size_t queue) override {
    return queue == 0 ? kLookEvery : std::chrono::milliseconds(0);
  }
  void leave_queue(std::size_t queue) override { queues_[queue]->finish(); }

  /// The disk has another size, in bytes, from now on: requests past it are errors, and the driver
  /// is told (5.2.4: capacity). A disk that shrinks does so after this. Any thread, one at a
  /// time, also while the guest runs.
  void resize(std::uint64_t size);

  void inspect(InspectNode& node) const override;

 private:
  using Operations = std::vector<DiskOperation>;
  virtio_block::RequestStatus plan(const virtio_block::RequestHeader& header,
                                   DescriptorChain& chain, Operations& operations);
  virtio_block::RequestStatus plan_transfer(std::uint64_t sector, const GuestBuffer& data,
                                            bool writes, Operations& operations);
  virtio_block::RequestStatus plan_ranges(virtio_block::RequestType type, GuestBuffer& data,
                                          Operations& operations);
  void define_config();
  void look_at_size();
  bool inside(std::uint64_t sector, std::uint64_t sectors) const;
  /// The guest's view of what the disk said.
  virtio_block::RequestStatus judge(const Status& status);

  const std::string name_;
  const std::string id_;
  Disk& disk_;
  const Identity identity_;
  DeviceConfig config_{virtio_block::kConfigSize};
  std::atomic<std::uint64_t> sectors_;
  std::uint64_t known_size_;  ///< of the disk; the first queue's thread has it
  Throttle::Clock::time_point looked_{};
  Throttle throttle_;
  std::vector<std::unique_ptr<BlockQueue>> queues_;
  bool write_through_ = true;  ///< the driver cannot flush: each write is made stable (5.2.6.2)

  struct Counters {
    std::atomic<std::uint64_t> reads{0};
    std::atomic<std::uint64_t> writes{0};
    std::atomic<std::uint64_t> flushes{0};
    std::atomic<std::uint64_t> range_changes{0};  ///< discards and write zeroes
    std::atomic<std::uint64_t> bytes_read{0};
    std::atomic<std::uint64_t> bytes_written{0};
    std::atomic<std::uint64_t> errors{0};
  };
  Counters counters_;
  log::RateLimit limit_;
};

}  // namespace gpuvm
