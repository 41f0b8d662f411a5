// SPDX-License-Identifier: Apache-2.0
// The control loop and cards that come and go while the guest runs. A guest that is asked for a
// card takes its time; the worker does not wait for it, so that everything else goes on meanwhile.
// The card is taken out when the guest has let it go, when its time is over, or when it reboots.
#include <algorithm>

#include "vmm/base/log.hpp"
#include "vmm/machine/run/control_state.hpp"

namespace gpuvm {

namespace asio = boost::asio;

namespace {

/// Of a card that nobody asked for.
constexpr std::uint8_t kNoPort = 0xff;

}  // namespace

void ControlLoop::Impl::begin_attach(std::string device) {
  begin(Work::kAttach, [this, device = std::move(device)] {
    return machine->attach(device, [this] { return is_unwanted.load(); });
  });
}

void ControlLoop::Impl::end_attach(const Status& status) {
  if (status && options.on_card_in) {
    options.on_card_in();
  }
}

void ControlLoop::Impl::begin_ask(std::string device) {
  asking = {.device = std::move(device)};
  begin(Work::kAsk, [this]() -> Status {
    asking.slot = TRY(machine->ask_for(asking.device));
    return {};
  });
}

/// The answer comes when the card is out.
void ControlLoop::Impl::end_ask(const Status& status) {
  if (!status) {
    return;
  }
  const std::uint8_t port = asking.slot.port;
  Leaving card{.device = std::move(asking.slot.card),  // by which lose_card() finds it
               .port = port,
               .number = ++last_leaving,
               .done = std::exchange(answer_to, nullptr),
               .is_due = asking.slot.is_released || slots_without_power.contains(port)};
  if (!card.is_due) {
    card.timer = std::make_unique<asio::steady_timer>(context, options.detach_grace);
    card.timer->async_wait([this, number = card.number](const boost::system::error_code& error) {
      if (!error) {
        end_grace(number);
      }
    });
  }
  leaving.push_back(std::move(card));
}

/// The guest's time for this card is over.
void ControlLoop::Impl::end_grace(std::uint64_t number) {
  for (Leaving& card : leaving) {
    if (card.number == number && !card.is_due) {
      log::warn("{}: The guest has not let it go within {} s: it is taken", card.device,
                options.detach_grace.count());
      events.card({.card = card.device, .port = card.port, .step = "unanswered"});
      card.is_due = true;
    }
  }
  proceed();
}

bool ControlLoop::Impl::is_card_due() const {
  return is_running && std::any_of(leaving.begin(), leaving.end(),
                                   [](const Leaving& card) { return card.is_due; });
}

void ControlLoop::Impl::begin_take_out() {
  const auto due =
      std::find_if(leaving.begin(), leaving.end(), [](const Leaving& card) { return card.is_due; });
  Leaving card = std::move(*due);
  leaving.erase(due);
  slots_without_power.erase(card.port);
  answer_to = std::move(card.done);
  if (options.on_card_out) {
    options.on_card_out(card.device);
  }
  begin(Work::kTakeOut,
        [this, device = std::move(card.device)] { return machine->take_out(device); });
}

/// A guest that starts over answers no question of its life before.
void ControlLoop::Impl::hurry_cards() {
  for (Leaving& card : leaving) {
    card.is_due = true;
    card.timer.reset();
  }
}

/// With the guest's end they go back as all devices do.
void ControlLoop::Impl::refuse_cards() {
  for (const Leaving& card : std::exchange(leaving, {})) {
    card.done(wrong_state());
  }
}

bool ControlLoop::Impl::note_slot(std::uint8_t port, bool is_powered) {
  const MutexLock lock(news_mutex);
  const bool is_first = slot_news.empty();
  SlotNews& news = slot_news[port];
  news.went_off = news.went_off || !is_powered;
  news.is_on = is_powered;
  return is_first;
}

void ControlLoop::Impl::hear_slots() {
  std::map<std::uint8_t, SlotNews> heard;
  {
    const MutexLock lock(news_mutex);
    heard.swap(slot_news);
  }
  for (const auto& [port, news] : heard) {
    if (news.went_off) {
      slot_switched(port, false);
    }
    if (news.is_on) {
      slot_switched(port, true);
    }
  }
}

void ControlLoop::Impl::slot_switched(std::uint8_t port, bool is_powered) {
  if (slot_events.allow()) {
    events.card({.card = {}, .port = port, .step = is_powered ? "powered" : "unpowered"});
  }
  if (is_powered) {
    slots_without_power.erase(port);
    return;
  }
  slots_without_power.insert(port);
  for (Leaving& card : leaving) {
    card.is_due = card.is_due || card.port == port;
  }
  proceed();
}

/// It may be asked for already: then that is over.
void ControlLoop::Impl::lose_card(std::string device) {
  if (result || is_over) {
    return;  // it goes with all the others
  }
  const auto asked = std::find_if(leaving.begin(), leaving.end(),
                                  [&device](const Leaving& card) { return card.device == device; });
  if (asked != leaving.end()) {
    asked->is_due = true;
  } else {
    auto done = [device](const Status& status) {
      if (!status) {
        log::error("{}: {}", device, status.error().to_string());
      }
    };
    leaving.push_back({.device = std::move(device),
                       .port = kNoPort,
                       .number = ++last_leaving,
                       .done = std::move(done),
                       .is_due = true});
  }
  proceed();
}

void ControlLoop::lose_card(std::string device) {
  asio::post(impl_->context, [impl = impl_.get(), device = std::move(device)]() mutable {
    impl->lose_card(std::move(device));
  });
}

void ControlLoop::slot_switched(std::uint8_t port, bool is_powered) {
  if (impl_->note_slot(port, is_powered)) {
    asio::post(impl_->context, [impl = impl_.get()] { impl->hear_slots(); });
  }
}

void ControlLoop::attach(std::string device, Done done) {
  impl_->request(
      {.wish = Impl::Wish::kAttach, .done = std::move(done), .device = std::move(device)});
}

void ControlLoop::detach(std::string device, Done done) {
  impl_->request(
      {.wish = Impl::Wish::kDetach, .done = std::move(done), .device = std::move(device)});
}

}  // namespace gpuvm
