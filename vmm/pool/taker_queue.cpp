// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/taker_queue.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "vmm/base/log.hpp"
#include "vmm/pool/pool_config.hpp"

namespace gpuvm::pool {
namespace {

/// A request is one line, which whoever connects has at once.
constexpr std::chrono::milliseconds kRequestTime{5000};
constexpr std::chrono::milliseconds kRefusalTime{0};
constexpr std::chrono::milliseconds kRest{1000};

void turn_away(UniqueFd& socket, const Error& error) {
  if (const auto sent = send_line(socket.get(), refusal_line(error), kRefusalTime); !sent) {
    log::debug("{}", sent.error().to_string());
  }
  socket.reset();
}

}  // namespace

/// Beside those who are there.
ClientSeats::Answer TakerQueue::seat_for(uid_t user) const {
  const auto is_owner = [own = ::geteuid()](uid_t who) { return who == 0 || who == own; };
  ClientSeats seats(options_.seats);
  for (const auto& taker : takers_) {
    seats.take(taker->user, is_owner(taker->user));
  }
  return seats.take(user, is_owner(user));
}

void TakerQueue::admit(int listener, Time now) {
  UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd) {
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      rests_until_ = now + kRest;  // or who has connected keeps the pool turning
    }
    return;
  }
  const auto peer = options_.who(fd.get());
  if (!peer || !may_steer(*peer, ::geteuid(), options_.group)) {
    turn_away(fd, fail(ErrorKind::kHost,
                       "Only root, the pool's user and members of control.group may take its "
                       "guests"));
    return;
  }
  if (const auto seat = seat_for(peer->user); seat != ClientSeats::Answer::kTaken) {
    const bool is_his = seat == ClientSeats::Answer::kUserHasAll;
    turn_away(fd, fail(ErrorKind::kHost, "{} wait for a guest of the pool {} already: try later",
                       is_his ? "As many of this user as may" : "As many as may", options_.pool));
    return;
  }
  auto taker = std::make_unique<Taker>();
  taker->fd = std::move(fd);
  taker->user = peer->user;
  taker->until = now + kRequestTime;
  takers_.push_back(std::move(taker));
}

void TakerQueue::add_to(std::vector<pollfd>& polled) const {
  for (const auto& taker : takers_) {
    polled.push_back({.fd = taker->fd.get(), .events = POLLIN, .revents = 0});
  }
}

void TakerQueue::serve(std::span<const pollfd> polled) {
  for (std::size_t i = 0; i < polled.size() && i < takers_.size(); ++i) {
    if (polled[i].revents != 0) {
      hear(*takers_[i]);
    }
  }
}

Status TakerQueue::answer(Taker& taker, const std::optional<TakeRequest>& request) const {
  if (!request || taker.waits) {
    return fail(ErrorKind::kUsage,
                "The pool {} does not know what is asked of it: is it of this version of gpuvm?",
                options_.pool);
  }
  const std::string difference = difference_of(options_.machine, request->machine);
  if (!difference.empty()) {
    return fail(ErrorKind::kConfig,
                "The pool {} has other guests ({}): take the file that it was started with",
                options_.pool, difference);
  }
  taker.waits = true;
  return {};
}

void TakerQueue::hear(Taker& taker) {
  switch (taker.lines.receive(taker.fd.get())) {
    case LineReceiver::Progress::kMore:
      return;
    case LineReceiver::Progress::kLine:
      if (const auto status = answer(taker, read_take_request(taker.lines.line())); !status) {
        turn_away(taker.fd, status.error());
      }
      return;
    case LineReceiver::Progress::kClosed:
    case LineReceiver::Progress::kWrong:
      taker.fd.reset();
      return;
  }
}

void TakerQueue::refuse_all() {
  for (const auto& taker : takers_) {
    if (taker->fd) {
      turn_away(taker->fd, fail(ErrorKind::kHost, "The pool {} ends", options_.pool));
    }
  }
  takers_.clear();
}

int TakerQueue::first() const {
  for (const auto& taker : takers_) {
    if (taker->waits && taker->fd) {
      return taker->fd.get();
    }
  }
  return -1;
}

void TakerQueue::first_is_served() {
  std::erase_if(takers_, [served = first()](const auto& taker) {
    return served >= 0 && taker->fd.get() == served;
  });
}

std::optional<TakerQueue::Time> TakerQueue::drop_late(Time now) {
  std::erase_if(takers_, [now](const auto& taker) {
    return !taker->fd || (!taker->waits && now >= taker->until);
  });
  std::optional<Time> next = listens(now) ? std::nullopt : std::optional(rests_until_);
  for (const auto& taker : takers_) {
    if (!taker->waits) {
      next = next ? std::min(*next, taker->until) : taker->until;
    }
  }
  return next;
}

}  // namespace gpuvm::pool
