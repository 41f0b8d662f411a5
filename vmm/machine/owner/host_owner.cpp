// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/host_owner.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm {
namespace {

Result<HostFunction> host_function_of(const HeldFunction& held) {
  HostFunction function;
  function.host = held.bdf;
  function.managed = false;  // bound already, or by others
  function.reset.settle = held.settle;
  function.reset.link_width = held.link_width;
  function.vf_token = held.vf_token;
  if (held.reset_method) {
    if (*held.reset_method > static_cast<std::uint8_t>(ResetMethod::kNone)) {
      return fail(ErrorKind::kInternal, "{} has an unknown reset method", held.bdf.to_string());
    }
    function.reset.method = static_cast<ResetMethod>(*held.reset_method);
  }
  return function;
}

/// Closed, and with their drivers, when this returns. `is_usual_end`: the guest has ended as guests
/// do, of which its monitor has told all; the reset for the next user, and the card's history, are
/// this one.
Status reset_and_give_back(std::unique_ptr<HostDevices> devices, bool is_usual_end) {
  MachineReset reset(*devices);
  if (is_usual_end) {
    reset.be_brief();
  }
  const auto reason = is_usual_end ? ResetReason::kStop : ResetReason::kRepair;
  return reset.recover(reason, reset.run(reason));
}

/// Dirty functions of a process that is gone, but those that are `ours` already. Of the others its
/// records go.
std::vector<Bdf> left_dirty_by(const HostSystem& host, long process, std::span<const Bdf> ours) {
  std::vector<Bdf> dirty;
  for (const Bdf& bdf : recorded_devices(host)) {
    const auto record = read_device_record(host, bdf);
    const bool is_ours = std::find(ours.begin(), ours.end(), bdf) != ours.end();
    if (!record || record->pid != process || is_ours) {
      continue;
    }
    if (!record->dirty.empty()) {
      dirty.push_back(bdf);
    } else if (const auto claim = DeviceClaim::take(host, bdf, record->owner); !claim) {
      log::debug("{}", claim.error().to_string());
    }
  }
  return dirty;
}

}  // namespace

HostOwner::HostOwner(const HostSystem& host, HostOpeners openers, const std::string& guest,
                     const std::vector<Bdf>& cards, PciScrub scrub)
    : host_(host),
      openers_(std::move(openers)),
      owner_(claim_owner(guest)),
      claims_(DeviceClaims::adopt(owner_, {})),
      cards_(host, openers_, owner_, cards, scrub) {}

HostOwner::~HostOwner() = default;

Status HostOwner::before_guest() const {
  return has_guest_ ? Status(fail(ErrorKind::kWrongState, "The guest runs already")) : Status();
}

Status HostOwner::hold_function(const HeldFunction& held, UniqueFd claim, UniqueFd binding) {
  TRY(before_guest());
  if (const auto record = read_device_record(host_, held.bdf)) {
    handing_over_ = record->pid;  // whatever comes of this
  }
  auto function = TRY(host_function_of(held));
  const auto is_held = [&held](const HostFunction& each) { return each.host == held.bdf; };
  if (std::any_of(functions_.begin(), functions_.end(), is_held)) {
    return fail(ErrorKind::kInternal, "{} was handed over before", held.bdf.to_string());
  }
  std::vector<DeviceClaim> claims;
  claims.push_back(TRY(DeviceClaim::adopt(host_, held.bdf, std::move(claim))));
  claims_.add(DeviceClaims::adopt(owner_, std::move(claims)));
  functions_.push_back(std::move(function));
  if (binding) {
    std::vector<DriverBinding::Handed> handed;
    handed.push_back({.bdf = held.bdf, .file = std::move(binding), .is_resized = held.is_resized});
    auto adopted = TRY(DriverBinding::adopt(host_, std::move(handed)));
    if (binding_) {
      binding_->add(std::move(adopted));
    } else {
      binding_.emplace(std::move(adopted));
    }
  }
  return {};
}

Status HostOwner::hold_state(const std::string& name, UniqueFd file) {
  TRY(before_guest());
  states_.push_back(TRY(StateFile::adopt(host_, name, std::move(file))));
  return {};
}

Result<std::uint32_t> HostOwner::declare_file(const std::string& path, FileUse use) {
  TRY(before_guest());
  return files_.declare(path, use);
}

Status HostOwner::guest_runs() {
  TRY(before_guest());
  has_guest_ = true;
  return {};
}

/// How the function looked when it was well stays known.
Status HostOwner::mark_failed(const Bdf& function, std::string_view reason) {
  const std::string name = function.to_string();
  HostDevices* const card = cards_.card_of(function);
  DeviceClaims& claims = card != nullptr ? card->claims() : claims_;
  const auto known = claims.known(name);
  return claims.mark_dirty(name, reason, known ? to_text(*known) : "", DirtCause::kFailedReset);
}

Result<UpstreamPort> HostOwner::port_of(const Bdf& function) const {
  auto ours = addresses_of(pointers_to(functions_));
  const auto of_cards = cards_.functions();
  ours.insert(ours.end(), of_cards.begin(), of_cards.end());
  if (std::find(ours.begin(), ours.end(), function) == ours.end()) {
    return fail(ErrorKind::kInternal, "{} was not handed over", function.to_string());
  }
  auto port = TRY(UpstreamPort::above(host_, function));
  TRY(port.check_owned(ours));
  return port;
}

Status HostOwner::check_link(const Bdf& function) {
  TRY(port_of(function));
  return {};
}

Status HostOwner::retrain_link(const Bdf& function) {
  return TRY(port_of(function)).retrain(openers_.sleep);
}

Status HostOwner::replace_file(std::uint32_t file, std::span<const std::byte> contents) {
  return files_.replace(file, contents);
}

Result<UniqueFd> HostOwner::open_file(std::uint32_t file) {
  return files_.open(file);
}

Status HostOwner::give_back_functions(bool is_usual_end) {
  wait_until_closed(host_, pointers_to(functions_), openers_.sleep);
  DriverBinding binding = binding_ ? std::move(*binding_) : TRY(DriverBinding::adopt(host_, {}));
  binding_.reset();
  return reset_and_give_back(
      TRY(HostDevices::create(host_, std::exchange(functions_, {}), std::move(claims_), openers_,
                              std::move(binding))),
      is_usual_end);
}

/// Of a start that was killed, all or a part of it: with what was handed over, because functions of
/// one group can only be opened together.
Status HostOwner::take_orphans(long killed) {
  const auto left = left_dirty_by(host_, killed, addresses_of(pointers_to(functions_)));
  claims_.add(TRY(DeviceClaims::take(host_, left, owner_)));
  auto binding = TRY(DriverBinding::create(host_, left));
  if (binding_) {
    binding_->add(std::move(binding));
  } else {
    binding_.emplace(std::move(binding));
  }
  for (const Bdf& bdf : left) {
    HostFunction function;
    function.host = bdf;
    function.managed = false;
    function.reset.link_width = link_width_of(host_, bdf);
    functions_.push_back(std::move(function));
  }
  return {};
}

/// What has records and is not dirty; that of other processes that are gone, too, as at every
/// start.
void HostOwner::restore_others() const {
  for (const auto& [bdf, outcome] : restore_bindings(host_)) {
    if (outcome) {
      log::info("{} went back to its host driver", bdf.to_string());
    } else {
      log::warn("{}", outcome.error().to_string());
    }
  }
}

Status HostOwner::give_back(long killed) {
  WorstError errors;
  errors.add(cards_.give_back_all());
  // One that ended by itself, but in the middle of its hand-over, gave nothing back either: what it
  // has not handed over has no keeper any more.
  const long starter = killed != 0 ? killed : handing_over_;
  const bool was_starting = starter != 0 && !has_guest_;
  if (was_starting) {
    errors.add(take_orphans(starter));
  }
  if (!functions_.empty()) {
    errors.add(give_back_functions(killed == 0 && has_guest_));
  }
  if (was_starting) {
    restore_others();
  }
  for (StateFile& state : states_) {
    state.remove();
  }
  states_.clear();
  return errors.take();
}

}  // namespace gpuvm
