// SPDX-License-Identifier: Apache-2.0
// TakerQueue: who wants a guest of a pool, in the order in which they came. Who may not have one,
// asks for another kind of guest, or says nothing, is turned away.
#pragma once

#include <poll.h>
#include <sys/types.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/guests/client_seats.hpp"
#include "vmm/guests/peer.hpp"
#include "vmm/pool/pool_wire.hpp"

namespace gpuvm::pool {

/// Not synchronised.
class TakerQueue {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Options {
    std::string pool = {};            ///< its name
    std::string machine = {};         ///< machine_text() of its guests
    std::optional<gid_t> group = {};  ///< whose members may take them, too
    /// Of who waits: no member of the group keeps the others, or the pool's user, from its guests.
    SeatLimits seats = {.all = 64, .kept = 16, .of_user = 16};
    std::function<std::optional<Peer>(int socket)> who = peer_of;
  };
  explicit TakerQueue(Options options) : options_(std::move(options)) {}

  /// Somebody has connected to this socket. Where no file can be opened, nobody is admitted for a
  /// second: see listens().
  void admit(int listener, Time now);
  /// Whether it is of use to wait for somebody who connects.
  bool listens(Time now) const { return now >= rests_until_; }
  /// Adds what is to be waited for; serve() gets the same entries back.
  void add_to(std::vector<pollfd>& polled) const;
  void serve(std::span<const pollfd> polled);
  /// The socket of the first who waits; -1: nobody does.
  int first() const;
  void first_is_served();
  /// Drops who is gone or says nothing. Nothing: there is no need to look again.
  std::optional<Time> drop_late(Time now);
  /// The pool ends: each is told so.
  void refuse_all();

 private:
  struct Taker {
    UniqueFd fd = {};  ///< does not block
    LineReceiver lines{LineReceiver::Descriptors::kNobody};
    uid_t user = 0;
    Time until = {};     ///< of its request
    bool waits = false;  ///< it has asked
  };
  ClientSeats::Answer seat_for(uid_t user) const;
  void hear(Taker& taker);
  Status answer(Taker& taker, const std::optional<TakeRequest>& request) const;

  const Options options_;
  std::deque<std::unique_ptr<Taker>> takers_;
  Time rests_until_ = {};
};

}  // namespace gpuvm::pool
