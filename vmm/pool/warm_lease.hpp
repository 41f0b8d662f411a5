// SPDX-License-Identifier: Apache-2.0
// WarmLease: a guest that was taken from a pool, by who took it. When this goes, the guest ends.
#pragma once

#include <chrono>
#include <string>
#include <utility>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/pool/pool_wire.hpp"

namespace gpuvm::pool {

class WarmLease {
 public:
  /// Waits for a guest of the pool, at most `limit`. `pool`: its name, or its socket's path.
  /// `machine`: machine_text() of what is wanted. `interrupt` is a descriptor that ends the wait
  /// when it is readable; -1: none. Errors: kHost: no such pool, no guest in time; kConfig: the
  /// pool has others; kCancelled: interrupted.
  static Result<WarmLease> take(const std::string& pool, const std::string& machine,
                                std::chrono::milliseconds limit, int interrupt = -1);

  const TakenGuest& guest() const { return guest_; }
  /// Readable when the guest's gpuvm has something to say, or is gone.
  int fd() const { return socket_.get(); }
  Status say(const LeaseWord& word) const;
  /// Does not wait.
  LineReceiver::Progress hear(MemberWord& word);
  /// The next word, within `limit`. Errors: kHost.
  Result<MemberWord> await(std::chrono::milliseconds limit);

  /// Plugs a card of the host into the running guest (PUT /v1/attach); returns when its function is
  /// announced there. Errors: kHost, kWrongState: as the guest's gpuvm says.
  Status attach(const std::string& host_address) const;

 private:
  WarmLease(TakenGuest guest, UniqueFd socket)
      : guest_(std::move(guest)), socket_(std::move(socket)) {}

  TakenGuest guest_;
  UniqueFd socket_;
  LineReceiver lines_{LineReceiver::Descriptors::kTaken, kMostMemberWords};
};

}  // namespace gpuvm::pool
