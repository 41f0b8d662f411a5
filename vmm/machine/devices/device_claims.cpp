// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/device_claims.hpp"

#include <algorithm>
#include <chrono>

#include "vmm/base/log.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {

Result<DeviceClaims> DeviceClaims::take(const HostSystem& host, const std::vector<Bdf>& functions,
                                        std::string owner, const std::vector<std::string>& sockets,
                                        DeviceClaims held) {
  DeviceClaims claims;
  claims.owner_ = std::move(owner);
  for (const Bdf& bdf : functions) {
    if (DeviceClaim* const ours = held.find(bdf.to_string())) {
      claims.claims_.push_back(std::move(*ours));
      continue;
    }
    claims.claims_.push_back(TRY(DeviceClaim::take(host, bdf, claims.owner_)));
    const DeviceClaim& claim = claims.claims_.back();
    if (claim.is_dirty()) {
      log::warn("{} was left dirty ({}): it is repaired first, by a reset and a check",
                bdf.to_string(), claim.left_behind().dirty);
    }
  }
  for (const std::string& socket : sockets) {
    claims.sockets_.push_back(TRY(SocketClaim::take(host, socket, claims.owner_)));
  }
  return claims;
}

DeviceClaim* DeviceClaims::find(std::string_view name) {
  const auto found = std::find_if(claims_.begin(), claims_.end(), [name](const DeviceClaim& claim) {
    return claim.bdf().to_string() == name;
  });
  return found == claims_.end() ? nullptr : &*found;
}

std::optional<FunctionState> DeviceClaims::known(std::string_view name) const {
  for (const DeviceClaim& claim : claims_) {
    if (claim.bdf().to_string() == name && !claim.left_behind().dirty.empty()) {
      return parse_function_state(claim.left_behind().looks);
    }
  }
  return std::nullopt;
}

Status DeviceClaims::mark_dirty(std::string_view name, std::string_view reason,
                                std::string_view looks, DirtCause cause) {
  DeviceClaim* const claim = find(name);
  if (keeper_ == nullptr || claim == nullptr) {
    return claim == nullptr ? Status() : claim->mark_dirty(reason, looks, cause);
  }
  // That it is in use the mark says already.
  return cause == DirtCause::kFailedReset ? keeper_->mark_failed(claim->bdf(), reason) : Status();
}

Status DeviceClaims::mark_clean(std::string_view name) {
  DeviceClaim* const claim = find(name);
  const bool is_ours = keeper_ == nullptr && claim != nullptr;
  return is_ours ? claim->mark_clean() : Status();
}

std::optional<ScrubChoice> DeviceClaims::owed_scrub(std::string_view name) const {
  for (const DeviceClaim& claim : claims_) {
    if (claim.bdf().to_string() == name) {
      return parse_scrub_choice(claim.owed_scrub());
    }
  }
  return std::nullopt;
}

Status DeviceClaims::owe_scrub(std::string_view name, const std::optional<ScrubChoice>& choice) {
  DeviceClaim* const claim = find(name);
  return claim == nullptr ? Status() : claim->owe_scrub(to_text(choice));
}

void DeviceClaims::note_reset(std::string_view reason, const ResetCertificate& certificate,
                              std::string_view usual) {
  const auto& names = certificate.names;
  const auto first = std::min_element(names.begin(), names.end());
  DeviceClaim* const claim = first == names.end() ? nullptr : find(*first);
  if (claim == nullptr) {
    return;
  }
  ResetNote note{.time = std::chrono::system_clock::now(), .duration = certificate.duration};
  note.reason = reason;
  note.method = to_string(certificate.method);
  note.usual = usual;
  note.verdict = to_string(certificate.verdict);
  note.functions = certificate.functions;
  for (const ResetMethod method : certificate.did_not_help) {
    note.did_not_help += note.did_not_help.empty() ? "" : ", ";
    note.did_not_help += to_string(method);
  }
  note.text = certificate.text;
  if (const Status noted = claim->note_reset(std::move(note)); !noted) {
    log::info("{}", noted.error().to_string());
  }
}

std::vector<Bdf> DeviceClaims::dirty() const {
  std::vector<Bdf> functions;
  for (const DeviceClaim& claim : claims_) {
    if (claim.is_dirty()) {
      functions.push_back(claim.bdf());
    }
  }
  return functions;
}

std::vector<Bdf> DeviceClaims::functions() const {
  std::vector<Bdf> functions;
  for (const DeviceClaim& claim : claims_) {
    functions.push_back(claim.bdf());
  }
  return functions;
}

UniqueFd DeviceClaims::hand_over(const Bdf& bdf) {
  DeviceClaim* const claim = find(bdf.to_string());
  return claim == nullptr ? UniqueFd() : claim->hand_over();
}

std::vector<StateFile> DeviceClaims::hand_over_sockets() {
  std::vector<StateFile> files;
  for (SocketClaim& claim : sockets_) {
    if (auto file = claim.hand_over()) {
      files.push_back(*std::move(file));
    }
  }
  return files;
}

DeviceClaims DeviceClaims::adopt(std::string owner, std::vector<DeviceClaim> adopted) {
  DeviceClaims claims;
  claims.owner_ = std::move(owner);
  claims.claims_ = std::move(adopted);
  return claims;
}

void DeviceClaims::add(DeviceClaims more) {
  for (DeviceClaim& claim : more.claims_) {
    claims_.push_back(std::move(claim));
  }
  for (SocketClaim& claim : more.sockets_) {
    sockets_.push_back(std::move(claim));
  }
}

}  // namespace gpuvm
