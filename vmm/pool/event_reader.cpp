// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/event_reader.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "vmm/base/text.hpp"

namespace gpuvm::pool {
namespace {

using nlohmann::json;
using Time = std::chrono::system_clock::time_point;

constexpr std::array kStates{LifecycleState::kCreated,   LifecycleState::kResetting,
                             LifecycleState::kRunning,   LifecycleState::kPaused,
                             LifecycleState::kRebooting, LifecycleState::kStopping,
                             LifecycleState::kStopped,   LifecycleState::kFailed};

/// Of any text; a guest's own are shorter (vmm/control).
constexpr std::size_t kLongestText = 4096;

/// The guest's gpuvm may be in the guest's hands: no terminal and no record obeys what it writes.
std::string text_in(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string()
             ? terminal_text(found->get_ref<const std::string&>().substr(0, kLongestText))
             : "";
}

std::uint64_t number_in(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::optional<LifecycleState> state_in(const json& object, const char* key) {
  const std::string name = text_in(object, key);
  for (const LifecycleState each : kStates) {
    if (to_string(each) == name) {
      return each;
    }
  }
  return std::nullopt;
}

/// time_text() gives a text of one length, of which those of two times compare as the times do.
bool is_older(const json& object, const char* key, Time since) {
  const std::string time = text_in(object, key);
  return time.size() != time_text(since).size() || time < time_text(since);
}

std::optional<GuestWord> word_of(const json& object) {
  GuestWord word{.channel = text_in(object, "channel"), .word = text_in(object, "word")};
  if (word.channel.empty() || word.word.empty()) {
    return std::nullopt;
  }
  const auto status = object.find("status");
  if (status != object.end() && status->is_number_unsigned()) {
    const auto value = status->get<std::uint64_t>();
    word.status = static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX));
  }
  return word;
}

bool publish_state(const json& object, GuestEvents& events) {
  const auto from = state_in(object, "from");
  const auto to = state_in(object, "to");
  if (!from || !to || *to == LifecycleState::kRunning) {
    return false;
  }
  events.state({.from = *from,
                .to = *to,
                .holdings = {.memory_slots = number_in(object, "memory_slots"),
                             .heap_bytes = number_in(object, "heap_bytes")}});
  return true;
}

bool publish_word(const json& object, GuestEvents& events) {
  if (const auto word = word_of(object)) {
    events.word(*word);
    return true;
  }
  return false;
}

bool publish_reset(const json& object, GuestEvents& events) {
  events.reset({.reason = text_in(object, "reason"),
                .functions = text_in(object, "functions"),
                .method = text_in(object, "method"),
                .verdict = text_in(object, "verdict"),
                .duration_ms = number_in(object, "duration_ms"),
                .text = text_in(object, "text"),
                .bars = text_in(object, "bars"),
                .scrub = text_in(object, "scrub")});
  return true;
}

bool publish_scrub(const json& object, GuestEvents& events) {
  events.scrub({.function = text_in(object, "function"),
                .done_bytes = number_in(object, "done_bytes"),
                .all_bytes = number_in(object, "all_bytes")});
  return true;
}

bool publish_sandbox(const json& object, GuestEvents& events) {
  events.sandbox({.state = text_in(object, "state"), .text = text_in(object, "text")});
  return true;
}

bool publish_network(const json& object, GuestEvents& events) {
  events.network({.network = text_in(object, "network"), .text = text_in(object, "text")});
  return true;
}

bool publish_disk(const json& object, GuestEvents& events) {
  events.disk({.disk = text_in(object, "disk"), .text = text_in(object, "text")});
  return true;
}

bool publish_share(const json& object, GuestEvents& events) {
  events.share({.tag = text_in(object, "tag"), .text = text_in(object, "text")});
  return true;
}

bool publish_card(const json& object, GuestEvents& events) {
  events.card({.card = text_in(object, "card"),
               .port = number_in(object, "port"),
               .step = text_in(object, "step"),
               .text = text_in(object, "text")});
  return true;
}

struct Kind {
  std::string_view name;
  bool (*publish)(const json&, GuestEvents&);
};

constexpr std::array kKindsOfEvents{
    Kind{"state", publish_state},     Kind{"word", publish_word},
    Kind{"reset", publish_reset},     Kind{"scrub", publish_scrub},
    Kind{"disk", publish_disk},       Kind{"share", publish_share},
    Kind{"network", publish_network}, Kind{"sandbox", publish_sandbox},
    Kind{"card", publish_card}};

}  // namespace

bool publish_line(std::string_view line, Time since, GuestEvents& events) {
  const auto object = json::parse(line, nullptr, false);
  if (!object.is_object() || is_older(object, "time", since)) {
    return false;
  }
  const std::string name = text_in(object, "event");
  for (const Kind& kind : kKindsOfEvents) {
    if (kind.name == name) {
      return kind.publish(object, events);
    }
  }
  return false;
}

}  // namespace gpuvm::pool
