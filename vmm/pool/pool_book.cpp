// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/pool_book.hpp"

#include <algorithm>

namespace gpuvm::pool {

std::size_t PoolBook::count(State state) const {
  return static_cast<std::size_t>(
      std::count_if(guests_.begin(), guests_.end(),
                    [state](const auto& entry) { return entry.second.state == state; }));
}

/// After a failure one at a time, until one succeeds.
std::size_t PoolBook::wanted(Time now) const {
  if (wait_until_ && now < *wait_until_) {
    return 0;
  }
  const std::size_t booting = count(State::kBooting);
  const std::size_t there = booting + count(State::kReady);
  const std::size_t at_once = failures_ > 0 ? 1 : options_.at_once;
  if (there >= options_.size || booting >= at_once) {
    return 0;
  }
  return std::min(options_.size - there, at_once - booting);
}

PoolBook::Number PoolBook::started(Time now) {
  guests_[++last_] = {.state = State::kBooting, .started = now};
  return last_;
}

void PoolBook::ready(Number guest, Time) {
  const auto found = guests_.find(guest);
  if (found != guests_.end() && found->second.state == State::kBooting) {
    found->second.state = State::kReady;
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
  const auto wait = std::min(options_.first_wait * (std::int64_t{1} << doublings),
                             options_.longest_wait);
  ++failures_;
  wait_until_ = now + wait;
}

PoolBook::State PoolBook::ended(Number guest, Time now) {
  const auto found = guests_.find(guest);
  if (found == guests_.end()) {
    return State::kEnding;
  }
  const Guest was = found->second;
  guests_.erase(found);
  if (was.state == State::kTaken) {
    return was.state;
  }
  if (was.state == State::kReady && now - was.started >= options_.long_life) {
    failures_ = 0;
  }
  failed(now);
  return was.state;
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
