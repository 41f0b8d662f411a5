// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/pool_book.hpp"

#include <algorithm>

namespace gpuvm::pool {

std::size_t PoolBook::count(State state) const {
  return static_cast<std::size_t>(
      std::count_if(guests_.begin(), guests_.end(),
                    [state](const auto& entry) { return entry.second.state == state; }));
}

/// After a failure one at a time, until one is ready.
std::size_t PoolBook::wanted(Time now) const {
  if (wait_until_ && now < *wait_until_) {
    return 0;
  }
  const std::size_t booting = count(State::kBooting);
  const std::size_t there = booting + count(State::kReady);
  const bool is_doubtful = failures_ > 0 && count(State::kReady) == 0;
  const std::size_t at_once = is_doubtful ? 1 : options_.at_once;
  if (there >= options_.size || booting >= at_once) {
    return 0;
  }
  return std::min(options_.size - there, at_once - booting);
}

PoolBook::Number PoolBook::started(Time now) {
  guests_[++last_] = {.state = State::kBooting, .started = now};
  return last_;
}

void PoolBook::ready(Number guest) {
  const auto found = guests_.find(guest);
  if (found != guests_.end() && found->second.state == State::kBooting) {
    found->second.state = State::kReady;
    found->second.has_waited = true;
    has_had_ready_ = true;
  }
}

std::optional<PoolBook::Number> PoolBook::take() {
  for (auto& [number, guest] : guests_) {  // in the order of their numbers
    if (guest.state == State::kReady) {
      guest.state = State::kTaken;
      failures_ = 0;
      wait_until_.reset();
      return number;
    }
  }
  return std::nullopt;
}

void PoolBook::ending(Number guest) {
  if (const auto found = guests_.find(guest); found != guests_.end()) {
    found->second.state = State::kEnding;
  }
}

std::vector<PoolBook::Number> PoolBook::overdue(Time now) {
  std::vector<Number> late;
  for (auto& [number, guest] : guests_) {
    if (guest.state == State::kBooting && now - guest.started >= options_.boot_limit) {
      guest.state = State::kEnding;
      late.push_back(number);
    }
  }
  return late;
}

void PoolBook::failed(Time now) {
  constexpr std::uint64_t kMostDoublings = 20;
  const auto doublings = std::min(failures_, kMostDoublings);
  const auto wait =
      std::min(options_.first_wait * (std::int64_t{1} << doublings), options_.longest_wait);
  ++failures_;
  wait_until_ = now + wait;
}

void PoolBook::ended(Number guest, Time now) {
  const auto found = guests_.find(guest);
  if (found == guests_.end()) {
    return;
  }
  const Guest was = found->second;
  guests_.erase(found);
  if (was.state == State::kTaken) {
    return;
  }
  if (was.has_waited && now - was.started >= options_.long_life) {
    failures_ = 0;
  }
  failed(now);
}

PoolBook::State PoolBook::state_of(Number guest) const {
  const auto found = guests_.find(guest);
  return found == guests_.end() ? State::kEnding : found->second.state;
}

std::optional<PoolBook::Time> PoolBook::next_look(Time now) const {
  std::optional<Time> next;
  const auto consider = [&next](Time time) { next = next ? std::min(*next, time) : time; };
  if (wait_until_ && now < *wait_until_) {
    consider(*wait_until_);
  }
  for (const auto& [number, guest] : guests_) {
    if (guest.state == State::kBooting) {
      consider(guest.started + options_.boot_limit);
    }
  }
  return next;
}

}  // namespace gpuvm::pool
