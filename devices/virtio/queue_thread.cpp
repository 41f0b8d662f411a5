// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue_thread.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <system_error>

#include "vmm/base/background_thread.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

/// Empties an eventfd; how often it was signalled does not matter.
void drain(int event_fd) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(event_fd, &count, sizeof count);
}

}  // namespace

Result<std::unique_ptr<QueueThread>> QueueThread::create(Options options) {
  options.name.resize(std::min<std::size_t>(options.name.size(), 15));
  auto stop = TRY(EventFd::create());
  std::unique_ptr<QueueThread> queue(new QueueThread(std::move(options), std::move(stop)));
  TRY(queue->make_thread());
  return queue;
}

Status QueueThread::make_thread() {
  try {
    thread_ = std::thread([this] { live(); });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost, "Cannot start the thread {}: {}", options_.name, error.what());
  }
  return {};
}

QueueThread::~QueueThread() {
  stop();
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void QueueThread::start(std::vector<int> events) {
  is_started_ = true;
  {
    const MutexLock lock(mutex_);
    work_ = std::move(events);
  }
  changed_.notify_all();
}

void QueueThread::ask_to_stop() {
  if (is_started_) {
    stopping_.store(true, std::memory_order_relaxed);
    stop_.signal();
  }
}

void QueueThread::stop() {
  if (!is_started_) {
    return;
  }
  ask_to_stop();
  {
    MutexLock lock(mutex_);
    while (work_) {
      changed_.wait(lock);
    }
  }
  is_started_ = false;
  stop_.drain();
  stopping_.store(false, std::memory_order_relaxed);
}

void QueueThread::live() {
  enter_background_thread(options_.name);
  sandbox::enter(sandbox::ThreadRole::kQueue);
  MutexLock lock(mutex_);
  for (;;) {
    while (!work_ && !is_ending_) {
      changed_.wait(lock);
    }
    if (is_ending_) {
      return;
    }
    const std::vector<int> events = *work_;
    lock.unlock();
    run(events);
    if (options_.at_end) {
      options_.at_end();
    }
    lock.lock();
    work_.reset();
    changed_.notify_all();
  }
}

void QueueThread::run(const std::vector<int>& events) {
  std::vector<pollfd> polled;
  const short at_first = options_.looks_first ? POLLIN : 0;
  for (const int event : events) {
    polled.push_back({.fd = event, .events = POLLIN, .revents = at_first});
  }
  polled.push_back({.fd = stop_.fd(), .events = POLLIN, .revents = 0});
  polled.push_back({.fd = -1, .events = 0, .revents = 0});
  pollfd& other = polled.back();
  while (!stopping()) {
    if (!serve_events(events, polled)) {
      return;
    }
    if (other.revents != 0 && !options_.serve_wanted(other.revents)) {
      return;
    }
    if (options_.wanted) {
      other = options_.wanted();
    }
    const int patience = options_.patience ? options_.patience() : -1;
    // Signals are blocked, so it fails never.
    if (::poll(polled.data(), polled.size(), patience) == 0) {
      for (std::size_t i = 0; i < events.size(); ++i) {
        polled[i].revents = POLLIN;
      }
    }
  }
}

bool QueueThread::serve_events(const std::vector<int>& events, std::vector<pollfd>& polled) const {
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (polled[i].revents != 0) {
      drain(events[i]);
      if (!options_.serve(i)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace gpuvm
