// SPDX-License-Identifier: Apache-2.0
// ClientSeats: how many clients of a control socket there may be, and who may have how many of
// them. Members of the socket's group share what is not kept for root and gpuvm's own user, and one
// of them has not all of that: a member that opens connections until there are no more keeps
// neither root nor the other members from the guest.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <map>

namespace gpuvm {

struct SeatLimits {
  std::size_t all = 32;
  std::size_t kept = 8;      ///< of these, for root and gpuvm's own user
  std::size_t of_user = 12;  ///< of others, each
};

/// Not synchronised.
class ClientSeats {
 public:
  enum class Answer {
    kTaken,
    kAllTaken,   ///< as many clients as there can be
    kUserHasAll  ///< of this user as many as of one there can be
  };

  explicit ClientSeats(SeatLimits limits = {}) : limits_(limits) {}

  /// is_owner: root, or gpuvm's own user.
  Answer take(uid_t user, bool is_owner);
  /// Once for each take() that was answered with kTaken.
  void leave(uid_t user, bool is_owner);
  std::size_t taken() const { return owners_ + others_; }

 private:
  const SeatLimits limits_;
  std::size_t owners_ = 0;
  std::size_t others_ = 0;
  std::map<uid_t, std::size_t> by_user_;  ///< of the others; none that has none
};

}  // namespace gpuvm
