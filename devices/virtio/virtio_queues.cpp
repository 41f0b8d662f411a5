// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtio_queues.hpp"

namespace gpuvm {

VirtioQueues::VirtioQueues(Options options) : options_(std::move(options)) {}

Result<std::unique_ptr<VirtioQueues>> VirtioQueues::create(Options options) {
  std::unique_ptr<VirtioQueues> queues(new VirtioQueues(std::move(options)));
  TRY(queues->make_events());
  return queues;
}

Status VirtioQueues::make_events() {
  const MutexLock lock(control_);
  const std::size_t count = options_.device.identity().queues;
  positions_.resize(count);
  const bool has_calls = options_.backend->has_call_events();
  for (std::size_t i = 0; i < count; ++i) {
    kicks_.push_back(TRY(EventFd::create()));
    if (has_calls) {
      calls_.push_back(TRY(EventFd::create()));
    }
  }
  if (has_calls) {
    relay_ = TRY(QueueThread::create({.name = std::string(options_.device.name()),
                                      .serve =
                                          [this](std::size_t queue) {
                                            queue_used(queue);
                                            return true;
                                          },
                                      .looks_first = false}));
  }
  return {};
}

std::vector<int> VirtioQueues::kicks() const {
  std::vector<int> fds;
  for (const auto& kick : kicks_) {
    fds.push_back(kick.fd());
  }
  return fds;
}

void VirtioQueues::follow() {
  const MutexLock lock(control_);
  apply();
}

void VirtioQueues::expect_rest() {
  const MutexLock lock(control_);
  if (running_.load(std::memory_order_relaxed)) {
    options_.backend->expect_stop();
  }
}

void VirtioQueues::pause() {
  const MutexLock lock(control_);
  paused_ = true;
  stop_backend();
}

void VirtioQueues::resume() {
  const MutexLock lock(control_);
  if (std::exchange(paused_, false)) {
    apply();
  }
}

void VirtioQueues::stop() {
  const MutexLock lock(control_);
  stop_backend();
}

void VirtioQueues::reset(const std::function<void()>& registers) {
  const MutexLock lock(control_);
  stop_backend();
  positions_.assign(positions_.size(), {});
  for (const auto& event : kicks_) {
    event.drain();
  }
  registers();
}

/// Also for a queue that is enabled while others run.
void VirtioQueues::apply() {
  stop_backend();
  if (paused_) {
    return;
  }
  if (const auto wanted = options_.wanted()) {
    if (const auto status = start_backend(*wanted); !status) {
      options_.on_broken(status.error());
    }
  }
}

Status VirtioQueues::start_backend(const Wanted& wanted) {
  std::vector<QueueBackend::Queue> queues;
  for (std::size_t i = 0; i < wanted.queues.size(); ++i) {
    if (wanted.queues[i]) {
      queues.push_back({.index = i,
                        .setup = *wanted.queues[i],
                        .position = positions_[i],
                        .kick = kicks_[i].fd(),
                        .call = call_of(i)});
    }
  }
  options_.device.start(wanted.features);
  TRY(options_.backend->start({.memory = options_.memory,
                               .features = wanted.features,
                               .queues = queues,
                               .listener = *this}));
  started_ = std::move(queues);
  running_.store(true, std::memory_order_relaxed);
  if (!relay_) {
    return {};
  }
  std::vector<int> calls;
  for (const auto& call : calls_) {
    calls.push_back(call.fd());
  }
  relay_->start(std::move(calls));
  return {};
}

void VirtioQueues::stop_backend() {
  if (!running_.load(std::memory_order_relaxed)) {
    return;
  }
  const auto positions = options_.backend->stop();
  for (std::size_t i = 0; i < started_.size() && i < positions.size(); ++i) {
    positions_[started_[i].index] = positions[i];
  }
  started_.clear();
  running_.store(false, std::memory_order_relaxed);
  if (!relay_) {
    return;
  }
  relay_->stop();
  for (std::size_t i = 0; i < calls_.size(); ++i) {
    if (calls_[i].drain()) {  // the relay had no time left for it
      queue_used(i);
    }
  }
}

int VirtioQueues::call_of(std::size_t queue) const {
  if (calls_.empty()) {
    return -1;
  }
  return options_.interrupts.queue_event(queue).value_or(calls_[queue].fd());
}

void VirtioQueues::update_calls() {
  if (calls_.empty()) {
    return;
  }
  const MutexLock lock(control_);
  for (auto& queue : started_) {
    const int call = call_of(queue.index);
    if (std::exchange(queue.call, call) != call) {
      options_.backend->set_call(queue.index, call);
      // What was signalled meanwhile may be lost: drivers can bear an interrupt too many, and not
      // one too few.
      queue_used(queue.index);
    }
  }
}

void VirtioQueues::inspect(InspectNode& node) const {
  node.field("running", running_.load(std::memory_order_relaxed));
  options_.backend->inspect(node);
}

}  // namespace gpuvm
