// SPDX-License-Identifier: Apache-2.0
#include "vmm/cards/take_cards.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "vmm/cards/card_errors.hpp"
#include "vmm/cards/choice.hpp"
#include "vmm/cards/queue.hpp"
#include "vmm/cards/survey.hpp"
#include "vmm/cards/watch.hpp"

namespace gpuvm {
namespace {

using Clock = QueueWatch::Clock;
using std::chrono::milliseconds;

/// After an event: more of them may come, and the lock behind it goes a moment later, or, on a busy
/// host, still a moment later.
constexpr milliseconds kSettle{10};
constexpr milliseconds kLookOnceMore{100};
/// Who is not the next for any card has no need to know what has no event so soon.
constexpr int kPatienceInQueue = 10;
/// The queue is held for some milliseconds.
constexpr milliseconds kQueueRetry{5};
constexpr std::chrono::seconds kQueuePatience{60};

/// The chosen cards in place of match.
Config with_cards(const Config& config, const std::vector<CardWish>& wishes,
                  const CardChoice& choice) {
  Config resolved = config;
  for (std::size_t i = 0; i < wishes.size(); ++i) {
    const CardFact& fact = wishes[i].cards.at(choice.cards.at(i).value());
    auto& entry = resolved.pci.at(wishes[i].entry);
    entry = with_card(entry, fact.card);
  }
  return resolved;
}

class CardTaker {
 public:
  CardTaker(const HostSystem& host, const Config& config, const TakeOptions& options)
      : host_(host),
        config_(config),
        options_(options),
        askers_(options.wait ? Askers::kAll : Askers::kMatch) {}

  Result<TakenCards> run();

 private:
  Result<std::optional<QueueLock>> lock_queue();
  Result<std::optional<TakenCards>> look();
  Result<std::optional<DeviceClaims>> claim();
  Status queue_up(const QueueLock& lock, const std::vector<WaitingGuest>& guests);
  std::span<const WaitingGuest> ahead_of_us(const std::vector<WaitingGuest>& guests) const;
  void choose_events(const std::vector<Bdf>& wanted, std::span<const WaitingGuest> ahead);
  QueueWatch::Why wait(Clock::time_point end);
  void tell();
  Result<TakenCards> taken(DeviceClaims claims);
  TakenCards ended() const { return {.config = {}, .claims = {}, .signal = watch_->signal()}; }

  const HostSystem& host_;
  const Config& config_;
  const TakeOptions& options_;
  const Askers askers_;
  EndSignals signals_;
  std::optional<QueueWatch> watch_;
  std::optional<QueueTicket> ticket_;
  std::vector<CardWish> wishes_;  ///< as the last look saw them
  CardChoice choice_;
  std::size_t ahead_ = 0;
  std::string told_;
  QueueWatch::Of events_;  ///< that may bring it a card
  milliseconds settle_ = kSettle;
  bool is_after_event_ = false;  ///< the last look
};

/// Who has no ticket yet comes after all.
std::span<const WaitingGuest> CardTaker::ahead_of_us(
    const std::vector<WaitingGuest>& guests) const {
  const auto behind = std::find_if(guests.begin(), guests.end(), [this](const auto& guest) {
    return ticket_ && guest.number >= ticket_->number();
  });
  return {guests.begin(), behind};
}

/// Nothing: a signal came.
Result<std::optional<QueueLock>> CardTaker::lock_queue() {
  const auto patience = Clock::now() + kQueuePatience;
  for (;;) {
    auto lock = TRY(QueueLock::try_take(host_));
    if (!watch_) {  // from now on the folder is there
      watch_.emplace(TRY(QueueWatch::create(host_, signals_)));
    }
    if (lock) {
      return lock;
    }
    if (watch_->rest(kQueueRetry) == QueueWatch::Why::kSignal) {
      return std::optional<QueueLock>();
    }
    if (Clock::now() > patience) {
      return fail(ErrorKind::kHost,
                  "Another process keeps the queue for cards locked (`fuser -v {}` names it)",
                  QueueLock::path(host_));
    }
  }
}

/// Of all chosen cards, or nothing: somebody who does not queue was faster with one, which is busy
/// from now on.
Result<std::optional<DeviceClaims>> CardTaker::claim() {
  DeviceClaims all;
  for (std::size_t i = 0; i < wishes_.size(); ++i) {
    CardFact& fact = wishes_[i].cards.at(choice_.cards.at(i).value());
    auto claims = DeviceClaims::take(host_, fact.functions, claim_owner(config_.name));
    if (!claims) {
      fact.state = CardState::kBusy;
      fact.reason = claims.error().to_string();
      return std::optional<DeviceClaims>();
    }
    all.add(std::move(claims).value());
  }
  return std::optional(std::move(all));
}

Result<TakenCards> CardTaker::taken(DeviceClaims claims) {
  signals_.leave();
  return TakenCards{.config = with_cards(config_, wishes_, choice_), .claims = std::move(claims)};
}

/// Of each card the guest right ahead that wants it, too: while that one waits, no other event
/// brings the card. So of many guests in a queue one wakes when a card is free, and not all.
void CardTaker::choose_events(const std::vector<Bdf>& wanted, std::span<const WaitingGuest> ahead) {
  events_ = {.claims = false, .tickets = {}};
  for (const Bdf& card : wanted) {
    const auto before = std::find_if(ahead.rbegin(), ahead.rend(),
                                     [&card](const auto& guest) { return guest.is_after(card); });
    if (before == ahead.rend()) {
      events_.claims = true;
    } else {
      events_.tickets.push_back(before->number);
    }
  }
}

/// Makes or renews the ticket, with the cards that would do.
Status CardTaker::queue_up(const QueueLock& lock, const std::vector<WaitingGuest>& guests) {
  std::vector<Bdf> wanted;
  for (const CardWish& wish : wishes_) {
    for (const CardFact& fact : wish.cards) {
      if (fact.state != CardState::kUnfit) {
        wanted.push_back(fact.identity);
      }
    }
  }
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  const auto ahead = ahead_of_us(guests);
  choose_events(wanted, ahead);
  ahead_ = static_cast<std::size_t>(
      std::count_if(ahead.begin(), ahead.end(), [&wanted](const WaitingGuest& guest) {
        return std::any_of(wanted.begin(), wanted.end(),
                           [&guest](const Bdf& card) { return guest.is_after(card); });
      }));
  if (ticket_) {
    return ticket_->want(lock, std::move(wanted));
  }
  ticket_.emplace(TRY(QueueTicket::take(
      host_, lock,
      {.owner = claim_owner(config_.name), .pid = ::getpid(), .wants = std::move(wanted)},
      guests)));
  return {};
}

/// One look at the host, with the queue locked: the cards; or nothing, and then there is a ticket.
Result<std::optional<TakenCards>> CardTaker::look() {
  const auto lock = TRY(lock_queue());
  if (!lock) {
    return std::optional(ended());
  }
  const auto guests = waiting_guests(host_, *lock);
  wishes_ = TRY(survey_cards(host_, config_, askers_, ahead_of_us(guests)));
  settle_ = kSettle;
  for (choice_ = choose_cards(wishes_); choice_.is_complete(); choice_ = choose_cards(wishes_)) {
    if (auto claims = TRY(claim())) {
      ticket_.reset();
      return std::optional(TRY(taken(*std::move(claims))));
    }
    settle_ = milliseconds(200);  // what was let go of has been an event for all
  }
  if (auto hopeless = hopeless_error(wishes_)) {
    return *std::move(hopeless);
  }
  if (!options_.wait) {
    return not_free_error(wishes_, choice_);
  }
  TRY(queue_up(*lock, guests));
  return std::optional<TakenCards>();
}

void CardTaker::tell() {
  const std::string reasons = reasons_against(wishes_);
  auto text = fmt::format("Waiting for {}, {}: {}", names_of_unfulfilled(wishes_, choice_),
                          ahead_ == 0   ? "next in the queue"
                          : ahead_ == 1 ? "behind 1 other guest"
                                        : fmt::format("behind {} other guests", ahead_),
                          reasons);
  if (text != told_ && options_.on_progress) {
    options_.on_progress({.ticket = ticket_->number(), .ahead = ahead_, .text = text});
  }
  told_ = std::move(text);
}

/// Until another look is worth it, or a signal.
QueueWatch::Why CardTaker::wait(Clock::time_point end) {
  const auto pause = is_after_event_  ? std::min(kLookOnceMore, options_.look_again)
                     : events_.claims ? options_.look_again
                                      : kPatienceInQueue * options_.look_again;
  auto why = watch_->wait(std::min<Clock::time_point>(end, Clock::now() + pause), events_);
  is_after_event_ = why == QueueWatch::Why::kChange;
  if (is_after_event_) {
    why = watch_->rest(settle_);
  }
  return why;
}

Result<TakenCards> CardTaker::run() {
  const auto longest = options_.wait.value_or(std::chrono::seconds(0));
  const auto end = Clock::now() + longest;
  for (;;) {
    if (auto done = TRY(look())) {
      return *std::move(done);
    }
    tell();
    if (Clock::now() >= end) {
      return too_late_error(wishes_, choice_, longest);
    }
    if (wait(end) == QueueWatch::Why::kSignal) {
      return ended();
    }
  }
}

/// Without the right to write /run/gpuvm: VFIO alone sees to it that a card has one owner.
Result<TakenCards> take_without_queue(const HostSystem& host, const Config& config,
                                      const TakeOptions& options) {
  if (options.wait) {
    return fail(ErrorKind::kHost, "Waiting for a card needs the right to write {}: run as root",
                kStateDirectory);
  }
  const auto wishes = TRY(survey_cards(host, config, Askers::kMatch, visible_guests(host)));
  const auto choice = choose_cards(wishes);
  if (auto hopeless = hopeless_error(wishes)) {
    return *std::move(hopeless);
  }
  if (!choice.is_complete()) {
    return not_free_error(wishes, choice);
  }
  return TakenCards{.config = with_cards(config, wishes, choice), .claims = {}};
}

}  // namespace

Result<TakenCards> take_cards(const HostSystem& host, const Config& config,
                              const TakeOptions& options) {
  if (!asks_for_cards(config, options.wait ? Askers::kAll : Askers::kMatch)) {
    return TakenCards{.config = config, .claims = {}};
  }
  if (!may_write_state(host)) {
    return take_without_queue(host, config, options);
  }
  return CardTaker(host, config, options).run();
}

}  // namespace gpuvm
