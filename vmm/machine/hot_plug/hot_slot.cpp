// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/hot_plug/hot_slot.hpp"

#include "vmm/base/worst_error.hpp"

namespace gpuvm {

namespace {

const char* what_is_going_on(SlotState state) {
  switch (state) {
    case SlotState::kEmpty:
      return "is empty";
    case SlotState::kComing:
      return "gets a card just now";
    case SlotState::kIn:
      return "has a card";
    case SlotState::kAsked:
      return "has a card for which the guest has been asked already";
    case SlotState::kGoing:
      return "has a card that is on its way out";
  }
  return "is in no known state";
}

}  // namespace

Status HotSlot::enter(SlotState next) {
  if (!may_follow(state_, next)) {
    return fail(ErrorKind::kWrongState, "The slot of root port {} {}", options_.port,
                what_is_going_on(state_));
  }
  options_.exclusively([this, next] { state_ = next; });
  return {};
}

void HotSlot::tell(std::string_view step, std::string text) const {
  if (options_.on_step) {
    options_.on_step(
        {.port = options_.port, .card = card_name(), .step = step, .text = std::move(text)});
  }
}

void HotSlot::reach(Reached reached, std::string_view step) {
  reached_ = reached;
  tell(step);
}

Status HotSlot::attach(std::unique_ptr<HotCard> card, const HotCard::IsUnwanted& is_unwanted) {
  TRY(enter(SlotState::kComing));
  options_.exclusively([this, &card] { card_ = std::move(card); });
  if (const Status came = come(is_unwanted); !came) {
    WorstError errors;
    errors.add(came);
    TRY(enter(SlotState::kGoing));
    errors.add(go());
    return errors.take();
  }
  return enter(SlotState::kIn);
}

Status HotSlot::come(const HotCard::IsUnwanted& is_unwanted) {
  const auto check = [&is_unwanted]() -> Status {
    return is_unwanted() ? Status(fail(ErrorKind::kCancelled, "The guest is about to end"))
                         : Status();
  };
  TRY(card_->take());
  reach(Reached::kTaken, "claimed");
  TRY(card_->verify());
  reach(Reached::kVerified, "verified");
  TRY(check());
  TRY(card_->join(is_unwanted));
  reach(Reached::kJoined, "mapped");
  TRY(check());
  reached_ = Reached::kShown;  // half of it, where it fails
  TRY(card_->show());
  tell("shown");
  TRY(card_->announce());
  reach(Reached::kAnnounced, "announced");
  return {};
}

Result<bool> HotSlot::ask() {
  TRY(enter(SlotState::kAsked));
  auto released = card_->ask();
  if (!released) {
    options_.exclusively([this] { state_ = SlotState::kIn; });
    return released;
  }
  tell("asked", *released ? "its slot has no power" : "");
  return released;
}

Status HotSlot::take_out() {
  TRY(enter(SlotState::kGoing));
  return go();
}

/// All that was reached, taken back. Nothing keeps a later step from being tried.
Status HotSlot::go() {
  WorstError errors;
  if (reached_ >= Reached::kShown) {
    errors.add(card_->withdraw());
    card_->hide();
    tell("withdrawn");
  }
  if (reached_ == Reached::kAnnounced) {
    errors.add(card_->reset(ResetReason::kStop));
  } else if (reached_ >= Reached::kVerified) {
    errors.add(card_->release());
  }
  if (reached_ >= Reached::kTaken) {
    errors.add(card_->leave());
  }
  Status outcome = errors.take();
  tell("gone", outcome ? "" : outcome.error().to_string());
  reached_ = Reached::kNothing;
  std::unique_ptr<HotCard> card;  // goes when nobody looks at it any more
  options_.exclusively([this, &card] { card = std::move(card_); });
  card.reset();
  TRY(enter(SlotState::kEmpty));
  return outcome;
}

Status HotSlot::reset(ResetReason reason) {
  return reached_ == Reached::kAnnounced ? card_->reset(reason) : Status();
}

void HotSlot::inspect(InspectNode& node) const {
  node.field("state", to_string(state_));
  if (card_ != nullptr) {
    node.field("card", card_->name());
    card_->inspect(node);
  }
}

}  // namespace gpuvm
