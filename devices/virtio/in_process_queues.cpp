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
  auto* const raw = queues.get();
  QueueThread::Options options{
      .name = std::string(device.name()),
      .serve = [raw](std::size_t event) { return raw->serve(*raw->rings_[event]); }};
  if (auto* const source = device.event_source(); source != nullptr) {
    options.wanted = [source] { return source->wanted(); };
    options.serve_wanted = [raw, source](short events) {
      return raw->is_served(source->serve(events));
    };
  }
  queues->thread_ = TRY(QueueThread::create(std::move(options)));
  return queues;
}

InProcessQueues::~InProcessQueues() {
  if (!rings_.empty()) {
    stop();
  }
}

Status InProcessQueues::start(const Start& start) {
  std::vector<std::unique_ptr<Ring>> rings;
  std::vector<int> kicks;
  for (const Queue& queue : start.queues) {
    auto ring = TRY_CONTEXT(SplitQueue::create(start.memory, queue.setup, queue.position),
                            fmt::format("queue {}", queue.index));
    rings.push_back(std::make_unique<Ring>(queue, ring));
    kicks.push_back(queue.kick);
  }
  rings_ = std::move(rings);
  listener_ = &start.listener;
  auto started = thread_->start(std::move(kicks));
  if (!started) {
    rings_.clear();
  }
  return started;
}

std::vector<QueuePosition> InProcessQueues::stop() {
  thread_->stop();
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

bool InProcessQueues::serve(Ring& ring) {
  return is_served(serve_all(ring));
}

/// False, and the transport is told: nothing is served any more.
bool InProcessQueues::is_served(const Status& status) const {
  if (!status) {
    listener_->queues_broken(status.error());
  }
  return status.has_value();
}

Status InProcessQueues::serve_all(Ring& ring) {
  const auto want_doorbell = [&ring](bool wanted) {
    const MutexLock lock(ring.mutex);
    return ring.queue.want_doorbell(wanted);
  };
  unsigned done = 0;
  do {
    want_doorbell(false);
    while (!thread_->stopping()) {
      if (done++ == kMostInARow) {
        ring_again(ring.kick);
        return {};
      }
      QueueRequest* const request = TRY(take(ring));
      if (request == nullptr) {
        break;
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
    }
  } while (!thread_->stopping() && want_doorbell(true));
  return {};
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

void InProcessQueues::inspect(InspectNode& node) const {
  node.field("requests", requests_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
