// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/endpoint_output.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <utility>

namespace gpuvm {

void ignore_broken_pipes() {
  struct sigaction action {};
  if (::sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) {
    action.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &action, nullptr);
  }
}

void EndpointOutput::attach(int fd) {
  struct stat status {};
  const MutexLock lock(mutex_);
  fd_ = fd;
  socket_ = ::fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

void EndpointOutput::detach() {
  const MutexLock lock(mutex_);
  fd_ = -1;
}

bool EndpointOutput::attached() const {
  const MutexLock lock(mutex_);
  return fd_ >= 0;
}

void EndpointOutput::discard() {
  const MutexLock lock(mutex_);
  fd_ = -1;
  discard_ = true;
  counts_.dropped += waiting_.size();
  waiting_.pop(waiting_.size());
}

EndpointOutput::Progress EndpointOutput::write(std::span<const std::byte> bytes) {
  const MutexLock lock(mutex_);
  if (discard_) {
    counts_.dropped += bytes.size();
    return Progress::kDone;
  }
  if (may_hold(bytes)) {
    waiting_.push(bytes);
    return std::exchange(holder_, true) ? Progress::kDone : Progress::kHeld;
  }
  const bool attached = fd_ >= 0;
  if (attached && waiting_.empty()) {
    bytes = bytes.subspan(write_some(bytes));
  } else if (attached && !waiter_ && bytes.size() > waiting_.room()) {
    push_locked();  // what is held goes before, and is not forgotten
  }
  counts_.dropped += waiting_.push(bytes);
  if (attached && !waiter_) {
    push_locked();
  }
  if (attached && fd_ < 0) {
    return Progress::kLost;
  }
  if (waiting_.empty() || fd_ < 0 || waiter_) {
    return Progress::kDone;
  }
  waiter_ = true;
  return Progress::kWaiting;
}

/// Not where nobody reads, or somebody reads too slowly: then bytes wait anyhow.
bool EndpointOutput::may_hold(std::span<const std::byte> bytes) const {
  constexpr std::size_t kMost = 256;
  return bytes.size() == 1 && bytes[0] != std::byte{'\n'} && fd_ >= 0 && !waiter_ &&
         waiting_.size() < kMost && waiting_.room() > 1;
}

EndpointOutput::Progress EndpointOutput::push_held() {
  const MutexLock lock(mutex_);
  holder_ = false;
  if (waiter_) {
    return Progress::kDone;  // they go with what waits
  }
  const Progress progress = push_locked();
  waiter_ = progress == Progress::kWaiting;
  return progress;
}

std::size_t EndpointOutput::room() const {
  const MutexLock lock(mutex_);
  return fd_ >= 0 && !discard_ ? waiting_.room() : std::numeric_limits<std::size_t>::max();
}

EndpointOutput::Progress EndpointOutput::push_waiting() {
  const MutexLock lock(mutex_);
  const Progress progress = push_locked();
  waiter_ = progress == Progress::kWaiting;
  return progress;
}

void EndpointOutput::flush(std::chrono::steady_clock::time_point deadline) {
  using namespace std::chrono;
  while (true) {
    int fd = -1;
    {
      const MutexLock lock(mutex_);
      if (push_locked() != Progress::kWaiting) {
        return;
      }
      fd = fd_;
    }
    const auto left = ceil<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) {
      return;
    }
    pollfd poll_fd{.fd = fd, .events = POLLOUT, .revents = 0};
    ::poll(&poll_fd, 1, static_cast<int>(std::min<std::int64_t>(left, 1000)));
  }
}

EndpointOutput::Counts EndpointOutput::counts() const {
  const MutexLock lock(mutex_);
  Counts counts = counts_;
  counts.waiting = waiting_.size();
  return counts;
}

EndpointOutput::Progress EndpointOutput::push_locked() {
  while (fd_ >= 0 && !waiting_.empty()) {
    const auto front = waiting_.front();
    const std::size_t taken = write_some(front);
    waiting_.pop(taken);
    if (taken < front.size()) {
      return fd_ >= 0 ? Progress::kWaiting : Progress::kLost;
    }
  }
  return Progress::kDone;
}

std::size_t EndpointOutput::write_some(std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto rest = bytes.subspan(done);
    const ssize_t count = socket_
                              ? ::send(fd_, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT)
                              : ::write(fd_, rest.data(), rest.size());
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else {
      if (count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) {
        fd_ = -1;
      }
      break;
    }
  }
  counts_.written += done;
  return done;
}

}  // namespace gpuvm
