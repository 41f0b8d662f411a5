// SPDX-License-Identifier: Apache-2.0
#include "vmm/fleet/host_events.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "vmm/base/text.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm {
namespace {

using Json = nlohmann::ordered_json;

/// Of the schema: another one where a reader of this one would be wrong.
constexpr unsigned kVersion = 1;

/// What others wrote: bounded, in one line, and harmless on a terminal.
std::string event_text(std::string_view text) {
  std::string clean = terminal_text(text.substr(0, HostEvents::kLongestText));
  std::replace(clean.begin(), clean.end(), '\n', ' ');
  return clean;
}

std::string line_of(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

/// "hot reset, function reset" as a list.
Json words_of(std::string_view text) {
  constexpr std::string_view kBetween = ", ";
  Json words = Json::array();
  while (!text.empty()) {
    const std::size_t size = std::min(text.find(kBetween), text.size());
    if (words.size() < HostEvents::kMostDevices) {
      words.push_back(event_text(text.substr(0, size)));
    }
    text.remove_prefix(std::min(size + kBetween.size(), text.size()));
  }
  return words;
}

Json begin_event(const HostLook& look, std::string_view event,
                 std::chrono::system_clock::time_point time) {
  Json json;
  json["version"] = kVersion;
  json["time"] = time_text(time);
  json["host"] = event_text(look.host);
  json["event"] = event;
  return json;
}

Json with_facts(Json json, const Json& facts) {
  for (const auto& [key, value] : facts.items()) {
    json[key] = value;
  }
  return json;
}

std::size_t count_cards(const HostLook& look, FleetCardState state) {
  const auto count = std::count_if(look.cards.begin(), look.cards.end(),
                                   [state](const FleetCard& card) { return card.state == state; });
  return static_cast<std::size_t>(count);
}

/// What of a guest is worth a line when it changes; the name tells them apart on one host.
Json guest_facts(const ListedGuest& guest) {
  Json facts;
  facts["guest"] = event_text(guest.name);
  facts["socket"] = event_text(guest.path);
  facts["state"] = guest.status ? event_text(guest.status->state) : "unknown";
  facts["problem"] = event_text(guest.problem);
  const VmStatus status = guest.status.value_or(VmStatus{});
  facts["pid"] = status.pid;
  facts["cpus"] = status.cpus;
  facts["memory_bytes"] = status.memory_bytes;
  Json devices = Json::array();
  for (const std::string& device : status.devices) {
    if (devices.size() < HostEvents::kMostDevices) {
      devices.push_back(event_text(device));
    }
  }
  facts["devices"] = std::move(devices);
  return facts;
}

Json card_facts(const FleetCard& card) {
  Json facts;
  facts["card"] = card.function.to_string();
  facts["state"] = to_string(card.state);
  facts["owner"] = event_text(card.owner);
  facts["pid"] = card.pid;
  facts["text"] = event_text(card.text);
  return facts;
}

std::string reset_line(const HostLook& look, const FleetCard& card, const ResetNote& note,
                       std::uint64_t missed) {
  Json json = begin_event(look, "reset", note.time);
  json["boot_id"] = event_text(look.boot_id);
  json["card"] = card.function.to_string();
  json["number"] = note.number;
  json["missed"] = missed;
  json["functions"] = words_of(note.functions);
  json["owner"] = event_text(note.owner);
  json["reason"] = event_text(note.reason);
  json["method"] = event_text(note.method);
  json["usual"] = event_text(note.usual);
  json["harder"] = note.is_harder();
  json["verdict"] = event_text(note.verdict);
  json["duration_ms"] = note.duration.count();
  json["did_not_help"] = words_of(note.did_not_help);
  json["text"] = event_text(note.text);
  return line_of(json);
}

bool is_full(const std::vector<std::string>& lines) {
  return lines.size() >= HostEvents::kMostLines;
}

}  // namespace

std::vector<std::string> HostEvents::tell(const HostLook& look) {
  Lines lines;
  tell_host(look, lines);
  for (const FleetCard& card : look.cards) {
    tell_resets(look, card, lines);
  }
  tell_cards(look, lines);
  tell_gone_guests(look, lines);
  tell_guests(look, lines);
  forget_gone_cards(look);
  return lines;
}

/// A clock that was put back does not stop them.
void HostEvents::tell_host(const HostLook& look, Lines& lines) {
  if (last_host_ && look.time >= *last_host_ && look.time - *last_host_ < kHeartbeat) {
    return;
  }
  last_host_ = look.time;
  Json json = begin_event(look, "host", look.time);
  json["boot_id"] = event_text(look.boot_id);
  json["gpuvm"] = look.version;
  json["guests"] = look.guests.size();
  json["cards"] = look.cards.size();
  json["used"] = count_cards(look, FleetCardState::kUsed);
  json["dirty"] = count_cards(look, FleetCardState::kDirty);
  json["failed"] = count_cards(look, FleetCardState::kFailed);
  lines.push_back(line_of(json));
}

void HostEvents::tell_resets(const HostLook& look, const FleetCard& card, Lines& lines) {
  ToldReset& told = resets_[card.function];
  if (card.resets.count < told.number) {
    told = {};  // somebody has removed the history
  }
  for (const ResetNote& note : card.resets.notes) {
    if (note.number <= told.number) {
      continue;
    }
    if (is_full(lines)) {
      return;
    }
    lines.push_back(
        reset_line(look, card, note, told.is_known ? note.number - told.number - 1 : 0));
    told = {.number = note.number, .is_known = true};
  }
  told.is_known = true;
}

void HostEvents::tell_cards(const HostLook& look, Lines& lines) {
  for (const FleetCard& card : look.cards) {
    const Json facts = card_facts(card);
    const std::string now = line_of(facts);
    const auto told = cards_.find(card.function);
    if (told != cards_.end() && told->second == now) {
      continue;
    }
    if (is_full(lines)) {
      return;
    }
    lines.push_back(line_of(with_facts(begin_event(look, "card", look.time), facts)));
    cards_[card.function] = now;
  }
}

void HostEvents::tell_guests(const HostLook& look, Lines& lines) {
  for (const ListedGuest& guest : look.guests) {
    const Json facts = guest_facts(guest);
    const std::string now = line_of(facts);
    const auto told = guests_.find(guest.path);
    if (told != guests_.end() && told->second == now) {
      continue;
    }
    if (is_full(lines)) {
      return;
    }
    Json json = with_facts(begin_event(look, "guest", look.time), facts);
    json["uptime_s"] = guest.status ? guest.status->uptime_s : 0;
    lines.push_back(line_of(json));
    guests_[guest.path] = now;
  }
}

void HostEvents::tell_gone_guests(const HostLook& look, Lines& lines) {
  std::set<std::string> there;
  for (const ListedGuest& guest : look.guests) {
    there.insert(guest.path);
  }
  for (auto told = guests_.begin(); told != guests_.end() && !is_full(lines);) {
    if (there.contains(told->first)) {
      ++told;
      continue;
    }
    const Json facts = Json::parse(told->second, nullptr, false);
    Json json = begin_event(look, "guest_gone", look.time);
    json["guest"] = facts.value("guest", "");
    json["socket"] = facts.value("socket", "");
    lines.push_back(line_of(json));
    told = guests_.erase(told);
  }
}

/// A card without a history is there while its record is.
void HostEvents::forget_gone_cards(const HostLook& look) {
  std::set<Bdf> there;
  for (const FleetCard& card : look.cards) {
    there.insert(card.function);
  }
  std::erase_if(cards_, [&there](const auto& told) { return !there.contains(told.first); });
  std::erase_if(resets_, [&there](const auto& told) { return !there.contains(told.first); });
}

}  // namespace gpuvm
