// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/in_process_queues.hpp"

#include <unistd.h>

#include <algorithm>

namespace gpuvm {
namespace {

/// As if the driver had rung.
void ring_again(int kick) {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(kick, &one, sizeof one);
}

}  // namespace

Result<std::unique_ptr<InProcessQueues>> InProcessQueues::create(RequestDevice& device) {
  std::unique_ptr<InProcessQueues> queues(new InProcessQueues(device));
  const std::size_t threads = device.has_thread_per_queue() ? device.identity().queues : 1;
  for (std::size_t i = 0; i < threads; ++i) {
    queues->workers_.push_back(TRY(queues->make_worker(i)));
  }
  return queues;
}

Result<std::unique_ptr<InProcessQueues::Worker>> InProcessQueues::make_worker(std::size_t index) {
  auto worker = std::make_unique<Worker>();
  const auto* const raw = worker.get();
  QueueThread::Options options;
  options.name = std::string(device_.name());
  options.serve = [this, raw](std::size_t event) { return serve(*raw, *raw->rings[event]); };
  options.patience = [this, raw] { return patience_of(*raw); };
  options.at_end = [this, raw] { leave(*raw); };
  if (auto* const source = device_.queue_events(index); source != nullptr) {
    options.wanted = [source] { return source->wanted(); };
    options.serve_wanted = [this, source](short events) {
      return is_served(source->serve(events));
    };
  }
  worker->thread = TRY(QueueThread::create(std::move(options)));
  return worker;
}

InProcessQueues::~InProcessQueues() {
  if (!rings_.empty()) {
    stop();
  }
}

Status InProcessQueues::start(const Start& start) {
  std::vector<std::unique_ptr<Ring>> rings;
  for (const Queue& queue : start.queues) {
    auto ring = TRY_CONTEXT(SplitQueue::create(start.memory, queue.setup, queue.position),
                            fmt::format("queue {}", queue.index));
    rings.push_back(std::make_unique<Ring>(queue, ring));
  }
  rings_ = std::move(rings);
  listener_ = &start.listener;
  start_workers();
  return {};
}

InProcessQueues::Worker& InProcessQueues::worker_of(std::size_t queue) const {
  return *workers_[queue % workers_.size()];
}

void InProcessQueues::start_workers() {
  for (const auto& ring : rings_) {
    worker_of(ring->index).rings.push_back(ring.get());
  }
  for (const auto& worker : workers_) {
    std::vector<int> kicks;
    for (const auto* const ring : worker->rings) {
      kicks.push_back(ring->kick);
    }
    if (!kicks.empty()) {
      worker->thread->start(std::move(kicks));
    }
  }
}

/// All are asked first: each may have to end what it is at.
void InProcessQueues::stop_workers() {
  for (const auto& worker : workers_) {
    worker->thread->ask_to_stop();
  }
  for (const auto& worker : workers_) {
    worker->thread->stop();
    worker->rings.clear();
  }
}

std::vector<QueuePosition> InProcessQueues::stop() {
  stop_workers();
  device_.finish();
  std::vector<QueuePosition> positions;
  for (const auto& ring : rings_) {
    MutexLock lock(ring->mutex);
    while (ring->free.size() != ring->requests.size()) {
      ring->came_back.wait(lock);
    }
    positions.push_back(ring->queue.position());
  }
  rings_.clear();
  return positions;
}

/// ms until one of its queues is to be looked at although nobody rang; -1: none is.
int InProcessQueues::patience_of(const Worker& worker) const {
  std::chrono::milliseconds least(0);
  for (const auto* const ring : worker.rings) {
    for (const auto wait : {device_.rest_of(ring->index), device_.patience_of(ring->index)}) {
      if (wait.count() > 0 && (least.count() == 0 || wait < least)) {
        least = wait;
      }
    }
  }
  return least.count() == 0 ? -1 : static_cast<int>(least.count());
}

void InProcessQueues::leave(const Worker& worker) {
  for (const auto* const ring : worker.rings) {
    device_.leave_queue(ring->index);
  }
}

bool InProcessQueues::serve(const Worker& worker, Ring& ring) {
  return is_served(serve_all(*worker.thread, ring));
}

/// False, and the transport is told: nothing is served any more.
bool InProcessQueues::is_served(const Status& status) const {
  if (!status) {
    listener_->queues_broken(status.error());
  }
  return status.has_value();
}

Status InProcessQueues::serve_all(const QueueThread& thread, Ring& ring) {
  const auto want_doorbell = [&ring](bool wanted) {
    const MutexLock lock(ring.mutex);
    return ring.queue.want_doorbell(wanted);
  };
  unsigned done = 0;
  do {
    want_doorbell(false);
    bool more = true;
    while (more && !thread.stopping() && device_.rest_of(ring.index).count() == 0) {
      if (done++ == kMostInARow) {
        device_.end_batch(ring.index);
        ring_again(ring.kick);
        return {};
      }
      more = TRY(serve_next(ring));
    }
    device_.end_batch(ring.index);
    if (more) {
      return {};  // it rests, or the thread ends: no doorbell is needed
    }
  } while (want_doorbell(true));
  return {};
}

/// False: there was none.
Result<bool> InProcessQueues::serve_next(Ring& ring) {
  QueueRequest* const request = TRY(take(ring));
  if (request == nullptr) {
    return false;
  }
  auto executed = device_.execute(*request);
  if (!executed) {
    const MutexLock lock(ring.mutex);
    give_back(ring, *request);
    return std::move(executed).error();
  }
  if (executed->is_done) {
    request->complete(executed->written);
  }
  return true;
}

/// The next request; nullptr: there is none.
Result<QueueRequest*> InProcessQueues::take(Ring& ring) {
  const MutexLock lock(ring.mutex);
  if (ring.free.empty()) {
    RequestSink* const sink = this;
    ring.requests.push_back(std::make_unique<QueueRequest>(sink, ring.index));
    ring.free.push_back(ring.requests.back().get());
  }
  QueueRequest* const request = ring.free.back();
  if (!TRY(ring.queue.pop(request->chain))) {
    return nullptr;
  }
  if (ring.requests.size() - ring.free.size() >= ring.queue.setup().size) {
    return fail(ErrorKind::kGuest, "Queue {}: more requests at once than it has entries",
                ring.index);
  }
  ring.free.pop_back();
  return request;
}

/// The last that a request's thread does with the ring, which may go once the lock is free.
void InProcessQueues::give_back(Ring& ring, QueueRequest& request) {
  ring.free.push_back(&request);
  ring.came_back.notify_one();
}

InProcessQueues::Ring& InProcessQueues::ring_of(const QueueRequest& request) {
  const auto found = std::find_if(rings_.begin(), rings_.end(), [&request](const auto& ring) {
    return ring->index == request.queue();
  });
  return **found;
}

void InProcessQueues::complete(std::span<const Completion> completions) {
  Ring& ring = ring_of(*completions.front().request);
  requests_.fetch_add(completions.size(), std::memory_order_relaxed);
  const MutexLock lock(ring.mutex);
  ring.used.clear();
  for (const auto& completion : completions) {
    ring.used.push_back({.id = completion.request->chain.head, .length = completion.written});
  }
  ring.queue.push(ring.used);
  if (ring.queue.must_interrupt()) {
    listener_->queue_used(ring.index);
  }
  for (const auto& completion : completions) {
    give_back(ring, *completion.request);
  }
}

void InProcessQueues::release(QueueRequest& request) {
  Ring& ring = ring_of(request);
  const MutexLock lock(ring.mutex);
  ring.queue.unpop();
  give_back(ring, request);
}

bool InProcessQueues::is_stopping(std::size_t queue) const {
  return worker_of(queue).thread->stopping();
}

void InProcessQueues::inspect(InspectNode& node) const {
  node.field("requests", requests_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
