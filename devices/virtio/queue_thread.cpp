// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/queue_thread.hpp"

#include <poll.h>
#include <unistd.h>

#include <cstdint>
#include <system_error>

#include "vmm/base/background_thread.hpp"

namespace gpuvm {
namespace {

/// Empties a doorbell; how often it rang does not matter.
void drain(int event_fd) {
  std::uint64_t count = 0;
  [[maybe_unused]] const auto got = ::read(event_fd, &count, sizeof count);
}

}  // namespace

Result<std::unique_ptr<QueueThread>> QueueThread::create(Options options) {
  auto stop = TRY(EventFd::create());
  return std::unique_ptr<QueueThread>(new QueueThread(std::move(options), std::move(stop)));
}

Status QueueThread::start() {
  if (started()) {
    return {};
  }
  try {
    thread_ = std::thread([this] {
      enter_background_thread(options_.name);
      run();
    });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost, "Cannot start the thread {}: {}", options_.name, error.what());
  }
  return {};
}

void QueueThread::stop() {
  if (!started()) {
    return;
  }
  stopping_.store(true, std::memory_order_relaxed);
  stop_.signal();
  thread_.join();
  stop_.drain();
  stopping_.store(false, std::memory_order_relaxed);
}

void QueueThread::run() {
  std::vector<pollfd> events;
  for (const int doorbell : options_.doorbells) {
    events.push_back({.fd = doorbell, .events = POLLIN, .revents = POLLIN});
  }
  events.push_back({.fd = stop_.fd(), .events = POLLIN, .revents = 0});
  while (!stopping()) {
    for (std::size_t queue = 0; queue < options_.doorbells.size(); ++queue) {
      if (events[queue].revents != 0) {
        drain(events[queue].fd);
        if (!options_.serve(queue)) {
          return;
        }
      }
    }
    ::poll(events.data(), events.size(), -1);  // signals are blocked, so it fails never
  }
}

}  // namespace gpuvm
