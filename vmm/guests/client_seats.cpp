// SPDX-License-Identifier: Apache-2.0
#include "vmm/guests/client_seats.hpp"

#include <algorithm>

namespace gpuvm {

ClientSeats::Answer ClientSeats::take(uid_t user, bool is_owner) {
  if (taken() >= limits_.all) {
    return Answer::kAllTaken;
  }
  if (is_owner) {
    ++owners_;
    return Answer::kTaken;
  }
  if (others_ >= limits_.all - std::min(limits_.kept, limits_.all)) {
    return Answer::kAllTaken;
  }
  const auto found = by_user_.find(user);
  if (found != by_user_.end() && found->second >= limits_.of_user) {
    return Answer::kUserHasAll;
  }
  ++by_user_[user];
  ++others_;
  return Answer::kTaken;
}

void ClientSeats::leave(uid_t user, bool is_owner) {
  if (is_owner) {
    owners_ -= std::min<std::size_t>(owners_, 1);
    return;
  }
  const auto found = by_user_.find(user);
  if (found == by_user_.end()) {
    return;
  }
  --others_;
  if (--found->second == 0) {
    by_user_.erase(found);
  }
}

}  // namespace gpuvm
