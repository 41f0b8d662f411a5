// SPDX-License-Identifier: Apache-2.0
// SynchronousQueues: the backend of a virtio device whose queues are served where the fuzzer says
// so, on its own thread, so that an input always means the same. It ends the process where the
// transport breaks its contract (queue_backend.hpp) or lets a driver change what it has activated:
// a queue that was handed over once stays where it was and as large as it was until a reset.
#pragma once

#include <bit>
#include <map>
#include <memory>
#include <vector>

#include "devices/virtio/queue_backend.hpp"
#include "devices/virtio/request_device.hpp"
#include "tests/fuzz/input.hpp"

namespace gpuvm::fuzz {

class SynchronousQueues : public QueueBackend, private RequestSink {
 public:
  /// Chains of one queue in one turn: a ring may be refilled for ever.
  static constexpr unsigned kMostChains = 32;

  explicit SynchronousQueues(RequestDevice& device) : device_(device) {}

  std::uint64_t features() const override { return ~std::uint64_t{0}; }
  bool has_call_events() const override { return false; }
  Status start(const Start& start) override {
    must(!running_, "a backend is started once");
    for (const auto& queue : start.queues) {
      check(queue);
    }
    if (refuses_) {
      return fail(ErrorKind::kHost, "The host serves no queues");
    }
    std::vector<Ring> rings;
    for (const auto& queue : start.queues) {
      rings.push_back(
          {queue.index, TRY(SplitQueue::create(start.memory, queue.setup, queue.position))});
    }
    rings_ = std::move(rings);
    listener_ = &start.listener;
    running_ = true;
    broken_ = false;
    return {};
  }
  void set_call(std::size_t, int) override { must(false, "a backend without call events"); }
  std::vector<QueuePosition> stop() override {
    must(running_, "what is stopped was started");
    device_.finish();
    std::vector<QueuePosition> positions;
    for (auto& ring : rings_) {
      device_.leave_queue(ring.index);
      positions.push_back(ring.queue.position());
    }
    must(open_ == 0, "no request is in flight after a stop");
    rings_.clear();
    requests_.clear();
    running_ = false;
    return positions;
  }
  void inspect(InspectNode&) const override {}

  bool is_running() const { return running_; }
  void set_refuses(bool refuses) { refuses_ = refuses; }
  /// The driver has reset the device: all may be otherwise now.
  void forget() { activated_.clear(); }
  /// Serves what the driver has made available.
  void serve() {
    for (std::size_t i = 0; running_ && !broken_ && i < rings_.size(); ++i) {
      if (const auto served = serve_ring(rings_[i]); !served) {
        broken_ = true;
        listener_->queues_broken(served.error());
      }
    }
  }

 private:
  struct Ring {
    std::size_t index;
    SplitQueue queue;
  };

  void check(const Queue& queue) {
    const auto& identity = device_.identity();
    must(queue.index < identity.queues, "a queue is one of the device's");
    must(std::has_single_bit(queue.setup.size) && queue.setup.size <= identity.queue_size,
         "a queue has a size that the device offers");
    must(queue.kick >= 0 && queue.call < 0, "a queue has a doorbell");
    const auto [known, is_new] = activated_.emplace(queue.index, queue.setup);
    must(is_new || known->second == queue.setup, "a queue that is in use does not change");
  }
  Status serve_ring(Ring& ring) {
    bool used = false;
    if (open_ == 0) {
      requests_.clear();
      rooms_.clear();
    }
    for (unsigned i = 0; i < kMostChains; ++i) {
      RequestSink* const sink = this;
      requests_.push_back(std::make_unique<QueueRequest>(sink, ring.index));
      auto& request = *requests_.back();
      if (!TRY(ring.queue.pop(request.chain))) {
        requests_.pop_back();
        break;
      }
      ++open_;
      rooms_[&request] = request.chain.writable.size();  // a device may take its status off
      const auto executed = device_.execute(request);
      if (!executed) {
        rooms_.erase(&request);
        --open_;
        return executed.error();
      }
      if (executed->is_done) {
        request.complete(executed->written);
      }
      used = ring.queue.must_interrupt() || used;
    }
    device_.end_batch(ring.index);
    if (used || ring.queue.must_interrupt()) {
      listener_->queue_used(ring.index);
    }
    ring.queue.want_doorbell(true);
    return {};
  }
  void complete(std::span<const Completion> completions) override {
    for (const auto& completion : completions) {
      auto& request = *completion.request;
      const auto room = rooms_.find(&request);
      must(open_ > 0 && room != rooms_.end(), "a request is answered once");
      must(completion.written <= room->second, "no more is written than there is room");
      rooms_.erase(room);
      --open_;
      for (auto& ring : rings_) {
        if (ring.index == request.queue()) {
          ring.queue.push(request.chain.head, completion.written);
        }
      }
    }
  }
  void release(QueueRequest& request) override {
    must(open_ > 0 && rooms_.erase(&request) == 1, "a request is given back once");
    --open_;
    for (auto& ring : rings_) {
      if (ring.index == request.queue()) {
        ring.queue.unpop();
      }
    }
  }

  RequestDevice& device_;
  std::vector<Ring> rings_;
  std::vector<std::unique_ptr<QueueRequest>> requests_;
  std::map<const QueueRequest*, std::uint64_t> rooms_;  ///< of those that are open
  std::map<std::size_t, SplitQueueSetup> activated_;
  QueueListener* listener_ = nullptr;
  std::size_t open_ = 0;
  bool running_ = false;
  bool broken_ = false;
  bool refuses_ = false;
};

}  // namespace gpuvm::fuzz
