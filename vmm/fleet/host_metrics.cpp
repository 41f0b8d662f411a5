// SPDX-License-Identifier: Apache-2.0
#include "vmm/fleet/host_metrics.hpp"

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <utility>

#include "vmm/control/guest_state.hpp"

namespace gpuvm {
namespace {

/// A label's value: \ and " escaped; "?" stands for each byte that is no printable ASCII.
std::string label_value(std::string_view text) {
  std::string value;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\' || c == '"') {
      value += '\\';
    }
    value += byte < 0x20 || byte >= 0x7f ? '?' : c;
  }
  return value;
}

using LabelPairs = std::initializer_list<std::pair<std::string_view, std::string_view>>;

std::string labels_of(LabelPairs labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    text += fmt::format("{}{}=\"{}\"", text.empty() ? "" : ",", name, label_value(value));
  }
  return text;
}

std::string family(std::string_view name, std::string_view type, std::string_view help) {
  return fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

/// A sample for each card, of those that have had a reset.
std::string of_cards(const HostLook& look, std::string_view name, std::string_view type,
                     std::string_view help,
                     const std::function<std::uint64_t(const FleetCard&)>& value) {
  std::string text = family(name, type, help);
  for (const FleetCard& card : look.cards) {
    if (card.resets.count != 0) {
      text += fmt::format("{}{{{}}} {}\n", name, labels_of({{"card", card.function.to_string()}}),
                          value(card));
    }
  }
  return text;
}

constexpr double kMilli = 1000.0;

double seconds_of(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / kMilli;
}

double seconds_at(std::chrono::system_clock::time_point time) {
  return seconds_of(std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()));
}

/// "{:.3f}": a time since 1970 has more digits than a number's shortest text would show here.
std::string time_sample(double seconds) {
  return fmt::format("{:.3f}", seconds);
}

std::string totals(const HostLook& look) {
  constexpr std::string_view kCount = "gpuvm_card_resets_total";
  constexpr std::string_view kTime = "gpuvm_card_reset_seconds_total";
  std::string counts =
      family(kCount, "counter", "Resets since the host's start, by method and verdict.");
  std::string times = family(kTime, "counter", "How long these took, in seconds.");
  for (const FleetCard& card : look.cards) {
    for (const ResetTotal& total : card.resets.totals) {
      const std::string labels = labels_of({{"card", card.function.to_string()},
                                            {"method", total.method},
                                            {"verdict", total.verdict}});
      counts += fmt::format("{}{{{}}} {}\n", kCount, labels, total.count);
      times += fmt::format("{}{{{}}} {}\n", kTime, labels, time_sample(seconds_of(total.duration)));
    }
  }
  return counts + times;
}

/// One sample for each state, so that a rule sees a state end.
std::string states(const HostLook& look) {
  constexpr std::string_view kName = "gpuvm_card_state";
  std::string text = family(kName, "gauge", "1 for the state that a card is in.");
  for (const FleetCard& card : look.cards) {
    for (const FleetCardState state : {FleetCardState::kFree, FleetCardState::kUsed,
                                       FleetCardState::kDirty, FleetCardState::kFailed}) {
      text +=
          fmt::format("{}{{{}}} {}\n", kName,
                      labels_of({{"card", card.function.to_string()}, {"state", to_string(state)}}),
                      card.state == state ? 1 : 0);
    }
  }
  return text;
}

/// A guest may say any state of itself; what is none of ours is one.
std::string_view known_state(const ListedGuest& guest) {
  for (const LifecycleState state :
       {LifecycleState::kCreated, LifecycleState::kResetting, LifecycleState::kRunning,
        LifecycleState::kPaused, LifecycleState::kRebooting, LifecycleState::kStopping,
        LifecycleState::kStopped, LifecycleState::kFailed}) {
    if (guest.status && guest.status->state == to_string(state)) {
      return to_string(state);
    }
  }
  return "unknown";
}

std::string guest_counts(const HostLook& look) {
  constexpr std::string_view kName = "gpuvm_guests";
  std::map<std::string_view, unsigned> counts{{"running", 0}};
  for (const ListedGuest& guest : look.guests) {
    ++counts[known_state(guest)];
  }
  std::string text = family(kName, "gauge", "Guests with a control socket, by state.");
  for (const auto& [state, count] : counts) {
    text += fmt::format("{}{{{}}} {}\n", kName, labels_of({{"state", state}}), count);
  }
  return text;
}

}  // namespace

std::string host_metrics(const HostLook& look) {
  constexpr std::string_view kLook = "gpuvm_host_look_timestamp_seconds";
  std::string text =
      of_cards(look, "gpuvm_card_harder_resets_total", "counter",
               "Resets after which a card was well, by a method that comes after its usual one.",
               [](const FleetCard& card) { return card.resets.harder; });
  text += of_cards(look, "gpuvm_card_failed_resets_total", "counter",
                   "Resets that did not make a card fit.",
                   [](const FleetCard& card) { return card.resets.failed; });
  text += totals(look);
  text += family("gpuvm_card_last_reset_timestamp_seconds", "gauge", "When a card was reset last.");
  for (const FleetCard& card : look.cards) {
    if (!card.resets.notes.empty()) {
      text += fmt::format("gpuvm_card_last_reset_timestamp_seconds{{{}}} {}\n",
                          labels_of({{"card", card.function.to_string()}}),
                          time_sample(seconds_at(card.resets.notes.back().time)));
    }
  }
  text += states(look);
  text += guest_counts(look);
  text += family(kLook, "gauge", "When these numbers were taken.");
  return text + fmt::format("{} {}\n", kLook, time_sample(seconds_at(look.time)));
}

}  // namespace gpuvm
