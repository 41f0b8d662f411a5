// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/net/control_queue.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

namespace gpuvm {

Result<std::unique_ptr<ControlQueue>> ControlQueue::create(Options options) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) {
    return fail_errno(ErrorKind::kHost, "Cannot make a timer for a network's control queue");
  }
  return std::unique_ptr<ControlQueue>(new ControlQueue(std::move(options), std::move(timer)));
}

ControlQueue::ControlQueue(Options options, UniqueFd timer)
    : options_(std::move(options)),
      control_(options_.most_pairs, options_.use_pairs),
      timer_(std::move(timer)),
      commands_(kCommandsASecond, kMostAtOnce, options_.now()) {}

void ControlQueue::start(const SplitQueue& queue, int call) {
  queue_.emplace(queue);
  set_call(call);
}

void ControlQueue::set_call(int call) {
  const MutexLock lock(call_mutex_);
  call_ = call;
}

QueuePosition ControlQueue::stop() {
  const QueuePosition position = queue_->position();
  queue_.reset();
  return position;
}

/// Then the timer goes off when it need not any more.
bool ControlQueue::must_rest() {
  const auto rest = commands_.rest(options_.now());
  if (rest.count() == 0) {
    return false;
  }
  constexpr long kMsInSecond = 1000;
  constexpr long kNsInMs = 1'000'000;
  itimerspec when{};
  when.it_value.tv_sec = rest.count() / kMsInSecond;
  when.it_value.tv_nsec = rest.count() % kMsInSecond * kNsInMs;
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
  return true;
}

/// What rests wants no doorbell: it looks at the queue again by itself.
Status ControlQueue::serve(const std::function<bool()>& stopping) {
  do {
    queue_->want_doorbell(false);
    for (;;) {
      if (stopping() || must_rest()) {
        return {};
      }
      if (!TRY(queue_->pop(command_))) {
        break;
      }
      commands_.take(1);
      answer(TRY(control_.execute(command_)));
    }
  } while (queue_->want_doorbell(true));
  return {};
}

void ControlQueue::answer(std::uint32_t written) {
  queue_->push(command_.head, written);
  if (queue_->must_interrupt()) {
    const MutexLock lock(call_mutex_);
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto called = ::write(call_, &one, sizeof one);
  }
}

}  // namespace gpuvm
