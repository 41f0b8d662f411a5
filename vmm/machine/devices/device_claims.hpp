// SPDX-License-Identifier: Apache-2.0
// DeviceClaims: the claims (vmm/host/device_claim.hpp) of all functions that a guest or a verb of
// gpuvm owns, by the names that the reset sequence uses.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/physical/reset/reset_sequence.hpp"
#include "devices/physical/scrub/memory_scrub.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/socket_claim.hpp"

namespace gpuvm {

class Owner;

/// How a guest is named to others who want its functions.
inline std::string claim_owner(const std::string& guest) {
  return "the guest " + guest;
}

/// Control thread only.
class DeviceClaims {
 public:
  /// All or none; says which were left dirty. `sockets`: of vfio-user servers, which are locked but
  /// never dirty. `owner`: "guest main". Errors: kHost, where another gpuvm has one, with its
  /// owner.
  /// `held`: of functions that this process has already (vmm/cards); those among `functions` are
  /// taken over, and the others end.
  static Result<DeviceClaims> take(const HostSystem& host, const std::vector<Bdf>& functions,
                                   std::string owner, const std::vector<std::string>& sockets,
                                   DeviceClaims held);
  static Result<DeviceClaims> take(const HostSystem& host, const std::vector<Bdf>& functions,
                                   std::string owner,
                                   const std::vector<std::string>& sockets = {}) {
    return take(host, functions, std::move(owner), sockets, DeviceClaims());
  }
  /// Of functions that are in nobody's hands but ours.
  DeviceClaims() = default;

  const std::string& owner() const { return owner_; }
  /// How the function looked before a crash; nothing: it was not left dirty, or nobody knows.
  std::optional<FunctionState> known(std::string_view name) const;
  /// From now on, and after our death, the function needs a verified reset. Errors: kHost.
  Status mark_dirty(std::string_view name, std::string_view reason, std::string_view looks,
                    DirtCause cause = DirtCause::kUse);
  Status mark_clean(std::string_view name);
  /// As DeviceClaim; nothing is owed of a function that is not claimed. Errors: kHost.
  std::optional<ScrubChoice> owed_scrub(std::string_view name) const;
  Status owe_scrub(std::string_view name, const std::optional<ScrubChoice>& choice);
  /// Into the history of the card, which is the first of the functions that were reset together,
  /// for who watches the host. `reason` as ResetReason has it; `usual`: the method that comes first
  /// for them, or "". What cannot be written there is a line of the log only.
  void note_reset(std::string_view reason, const ResetCertificate& certificate,
                  std::string_view usual);
  std::vector<Bdf> dirty() const;
  /// Every function that is claimed.
  std::vector<Bdf> functions() const;
  /// Has the functions of `more`, too.
  void add(DeviceClaims more);

  /// For another process, which is `owner` and has the marks from then on: here a failed reset is
  /// told to it, and nothing else has an effect. `owner` must outlive this.
  void mark_at(Owner& owner) { keeper_ = &owner; }
  /// Another process has the marks, and does what is owed of the functions.
  bool has_keeper() const { return keeper_ != nullptr; }
  /// The file of one function's claim (DeviceClaim::hand_over()).
  UniqueFd hand_over(const Bdf& bdf);
  /// Of the servers' claims, those that have a file.
  std::vector<StateFile> hand_over_sockets();
  /// What was handed over, in that process.
  static DeviceClaims adopt(std::string owner, std::vector<DeviceClaim> claims);

 private:
  DeviceClaim* find(std::string_view name);

  std::string owner_;
  std::vector<DeviceClaim> claims_;
  std::vector<SocketClaim> sockets_;
  Owner* keeper_ = nullptr;
};

}  // namespace gpuvm
