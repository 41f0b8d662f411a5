// SPDX-License-Identifier: Apache-2.0
// InProcessQueues: the queues of a RequestDevice, served on a thread of this process or on one for
// each queue, which there are while the driver lets the device run. Requests may be completed on
// any other.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "devices/virtio/queue_backend.hpp"
#include "devices/virtio/queue_thread.hpp"
#include "devices/virtio/request_device.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

class InProcessQueues : public QueueBackend, private RequestSink {
 public:
  /// `device` must outlive this. Errors: kHost.
  static Result<std::unique_ptr<InProcessQueues>> create(RequestDevice& device);
  ~InProcessQueues() override;
  InProcessQueues(const InProcessQueues&) = delete;
  InProcessQueues& operator=(const InProcessQueues&) = delete;

  std::uint64_t features() const override { return ~std::uint64_t{0}; }
  bool has_call_events() const override { return false; }
  Status start(const Start& start) override;
  void set_call(std::size_t, int) override {}
  std::vector<QueuePosition> stop() override;
  void inspect(InspectNode& node) const override;

 private:
  /// Requests of one queue before the others and the device's events have their turn.
  static constexpr unsigned kMostInARow = 256;
  /// One queue while it is served.
  struct Ring {
    Ring(const QueueBackend::Queue& of, const SplitQueue& ring)
        : index(of.index), kick(of.kick), queue(ring) {}
    const std::size_t index;
    const int kick;
    Mutex mutex;
    SplitQueue queue GPUVM_GUARDED_BY(mutex);
    /// All that there were at once; those in `free` are nobody's.
    std::vector<std::unique_ptr<QueueRequest>> requests GPUVM_GUARDED_BY(mutex);
    std::vector<QueueRequest*> free GPUVM_GUARDED_BY(mutex);
    std::vector<virtio::UsedElement> used GPUVM_GUARDED_BY(mutex);  ///< while it completes some
    Condition came_back;
  };

  /// A thread and what it serves.
  struct Worker {
    std::vector<Ring*> rings;
    std::unique_ptr<QueueThread> thread;
  };

  explicit InProcessQueues(RequestDevice& device) : device_(device) {}
  Result<std::unique_ptr<Worker>> make_worker(std::size_t index);
  void start_workers();
  void stop_workers();
  Worker& worker_of(std::size_t queue) const;
  int patience_of(const Worker& worker) const;
  void leave(const Worker& worker);
  bool serve(const Worker& worker, Ring& ring);
  Status serve_all(const QueueThread& thread, Ring& ring);
  Result<bool> serve_next(Ring& ring);
  Result<QueueRequest*> take(Ring& ring);
  void give_back(Ring& ring, QueueRequest& request) GPUVM_REQUIRES(ring.mutex);
  Ring& ring_of(const QueueRequest& request);
  bool is_served(const Status& status) const;
  void complete(std::span<const Completion> completions) override;
  void release(QueueRequest& request) override;
  bool is_stopping(std::size_t queue) const override;

  RequestDevice& device_;
  /// Changed by start() and stop() alone, while nothing is served or in flight.
  std::vector<std::unique_ptr<Ring>> rings_;
  QueueListener* listener_ = nullptr;
  std::atomic<std::uint64_t> requests_{0};
  std::vector<std::unique_ptr<Worker>> workers_;  ///< first to go: use all the others
};

}  // namespace gpuvm
