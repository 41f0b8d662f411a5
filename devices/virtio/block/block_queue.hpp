// SPDX-License-Identifier: Apache-2.0
// BlockQueue: the requests of one queue of a block device that are on their way to its disk, and
// their answers. One thread at a time, the queue's.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "devices/virtio/block/block_spec.hpp"
#include "devices/virtio/block/disk.hpp"
#include "devices/virtio/request_device.hpp"

namespace gpuvm {

class BlockQueue : public EventSource {
 public:
  /// More than an honest driver's requests have together.
  static constexpr std::uint64_t kMostOpenBytes = 64 << 20;
  /// A request of more is carried out in parts of this. No honest driver of an operating system
  /// makes such; firmware may load a file of any size by one.
  static constexpr std::uint64_t kLargestPart = 16 << 20;

  /// Of what a disk said, what the guest gets.
  using Judge = std::function<virtio_block::RequestStatus(const Status&)>;

  /// As many requests as `entries` are on their way at most. `disk` must outlive it.
  BlockQueue(Disk& disk, unsigned entries, Judge judge);

  /// A request becomes these operations, at least one, in any order; `status` is where the guest
  /// reads how it went. With `flush` what they changed is stable before it is answered. A large
  /// read or write is one operation; if the queue is to rest before it is done, the request goes
  /// back to the driver's ring, and begins anew once the queue is served again.
  Execution begin(QueueRequest& request, std::byte* status,
                  std::span<const DiskOperation> operations, bool flush);
  /// Sends on their way what has begun, and answers what is ready. What is alone and quick is
  /// carried out here: another thread would have to be woken for it.
  void submit();
  /// The same, until nothing is on its way.
  void finish();

  bool is_asynchronous() const { return queue_ != nullptr; }
  /// So much is on its way that no more should begin: whoever stops the queue waits for all of it,
  /// and a guest may name the same memory again and again.
  bool is_full() const { return open_bytes_ >= kMostOpenBytes; }

  pollfd wanted() override;
  Status serve(short events) override;

 private:
  struct Pending {
    QueueRequest* request = nullptr;
    std::byte* status = nullptr;
    std::size_t open = 0;          ///< operations that have not finished
    std::uint64_t read_bytes = 0;  ///< what the guest gets if all goes well
    std::uint64_t bytes = 0;       ///< of all operations
    bool flush = false;
    std::vector<DiskOperation> operations = {};
    virtio_block::RequestStatus outcome = virtio_block::RequestStatus::kOk;
  };
  Execution carry_out_in_parts(QueueRequest& request, std::byte* status, const DiskOperation& whole,
                               bool flush);
  bool is_quick_alone() const;
  void send(Pending& pending);
  void carry_out(Pending& pending, const DiskOperation& operation);
  void finish_one(Pending& pending);
  std::uint32_t conclude(Pending& pending);
  void answer_finished();

  Disk& disk_;
  const Judge judge_;
  std::unique_ptr<DiskQueue> queue_;
  std::vector<Pending> pending_;
  std::vector<Pending*> free_;
  std::uint64_t open_bytes_ = 0;
  std::vector<Pending*> begun_;  ///< since the last submit()
  std::vector<DiskQueue::Finished> finished_;
  std::vector<Completion> completions_;
};

/// Answers a request at once: `written` bytes are at the front of what the guest reads.
Execution answer_now(QueueRequest& request, std::byte* status, virtio_block::RequestStatus outcome,
                     std::uint64_t written = 0);

}  // namespace gpuvm
