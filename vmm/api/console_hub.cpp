// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/console_hub.hpp"

#include <algorithm>
#include <utility>

#include "vmm/base/asio.hpp"

namespace gpuvm {

// What the tail needs is had, and touched, from the start: gpuvm does not grow with the guest's
// life.
ConsoleHub::ConsoleHub(boost::asio::io_context& control, Input input)
    : control_(control), input_(std::move(input)), tail_(2 * kTail, '\0') {
  tail_.clear();
}

void ConsoleHub::write(std::span<const std::byte> bytes) {
  const auto* const text = reinterpret_cast<const char*>(bytes.data());
  const MutexLock lock(mutex_);
  const std::size_t kept = std::min(bytes.size(), kTail);
  if (tail_.size() + kept > 2 * kTail) {
    tail_.erase(0, tail_.size() - kTail);
  }
  tail_.append(text + bytes.size() - kept, kept);
  if (!is_watched_) {
    return;
  }
  const std::size_t room = missed_ > 0 ? 0 : kMostPending - pending_.size();
  pending_.append(text, std::min(bytes.size(), room));
  missed_ += bytes.size() - std::min(bytes.size(), room);
  if (!is_posted_) {
    is_posted_ = true;
    boost::asio::post(control_, [self = shared_from_this()] { self->deliver(); });
  }
}

void ConsoleHub::resume_input() {
  boost::asio::post(control_, [self = shared_from_this()] {
    const auto viewers = self->viewers_;
    for (const auto& [number, viewer] : viewers) {
      viewer->input_ready();
    }
  });
}

ConsoleHub::Waiting ConsoleHub::take_waiting() {
  Waiting waiting;
  waiting.text.swap(pending_);
  waiting.missed = std::exchange(missed_, 0);
  return waiting;
}

/// A viewer may leave while it is told.
void ConsoleHub::show(const Waiting& waiting, std::uint64_t but_not) {
  const auto viewers = viewers_;
  for (const auto& [number, viewer] : viewers) {
    if (number == but_not) {
      continue;
    }
    if (!waiting.text.empty()) {
      viewer->output(std::as_bytes(std::span(waiting.text)));
    }
    if (waiting.missed > 0 && viewer->missed) {
      viewer->missed(waiting.missed);
    }
  }
}

void ConsoleHub::deliver() {
  Waiting waiting;
  {
    const MutexLock lock(mutex_);
    is_posted_ = false;
    waiting = take_waiting();
  }
  show(waiting);
}

/// What is in the tail is not pending for the new viewer: nothing comes twice, and nothing is
/// missing.
std::uint64_t ConsoleHub::attach(Viewer viewer) {
  Waiting waiting;
  std::string tail;
  {
    const MutexLock lock(mutex_);
    waiting = take_waiting();
    tail = tail_.substr(tail_.size() - std::min(tail_.size(), kTail));
    is_watched_ = true;
  }
  const auto added = std::make_shared<const Viewer>(std::move(viewer));
  const auto number = ++last_viewer_;
  viewers_.emplace(number, added);  // first: the others may all leave while they are told
  show(waiting, number);
  if (!tail.empty()) {
    added->output(std::as_bytes(std::span(tail)));
  }
  return number;
}

void ConsoleHub::detach(std::uint64_t viewer) {
  viewers_.erase(viewer);
  if (viewers_.empty()) {
    const MutexLock lock(mutex_);
    is_watched_ = false;
    pending_.clear();
    missed_ = 0;
  }
}

std::size_t ConsoleHub::type(std::span<const std::byte> bytes) const {
  return input_ ? std::min(input_(bytes), bytes.size()) : bytes.size();
}

}  // namespace gpuvm
