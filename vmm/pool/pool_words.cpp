// SPDX-License-Identifier: Apache-2.0
// The words of pool_wire.hpp as JSON, and read again.
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "vmm/pool/pool_wire.hpp"

namespace gpuvm::pool {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<ErrorKind, std::string_view>, 8> kKinds{
    {{ErrorKind::kUsage, "usage"},
     {ErrorKind::kHost, "host"},
     {ErrorKind::kWrongState, "wrong_state"},
     {ErrorKind::kCancelled, "cancelled"},
     {ErrorKind::kInternal, "internal"},
     {ErrorKind::kGuest, "guest"},
     {ErrorKind::kUnsafeDevice, "unsafe_device"},
     {ErrorKind::kConfig, "config"}}};

constexpr std::array<std::pair<RunEnd, std::string_view>, 9> kEnds{
    {{RunEnd::kPoweredOff, "powered_off"},
     {RunEnd::kGuestReset, "guest_reset"},
     {RunEnd::kGuestExit, "guest_exit"},
     {RunEnd::kPanicked, "panicked"},
     {RunEnd::kEndedForced, "ended_forced"},
     {RunEnd::kStopped, "stopped"},
     {RunEnd::kStartBrokenOff, "start_broken_off"},
     {RunEnd::kGivenUp, "given_up"},
     {RunEnd::kFailed, "failed"}}};

constexpr std::array<std::pair<LeaseWord::Kind, std::string_view>, 3> kLeaseWords{
    {{LeaseWord::Kind::kGo, "go"},
     {LeaseWord::Kind::kPressPowerButton, "power_button"},
     {LeaseWord::Kind::kStop, "stop"}}};

constexpr std::array<std::pair<MemberWord::Kind, std::string_view>, 5> kMemberWords{
    {{MemberWord::Kind::kReady, "ready"},
     {MemberWord::Kind::kRuns, "runs"},
     {MemberWord::Kind::kRefused, "refused"},
     {MemberWord::Kind::kEnded, "ended"},
     {MemberWord::Kind::kOwner, "owner"}}};

template <class Names, class Value>
std::string name_of(const Names& names, Value value) {
  for (const auto& [each, name] : names) {
    if (each == value) {
      return std::string(name);
    }
  }
  return "";
}

template <class Value, std::size_t kCount>
std::optional<Value> value_of(const std::array<std::pair<Value, std::string_view>, kCount>& names,
                              std::string_view wanted) {
  for (const auto& [each, name] : names) {
    if (name == wanted) {
      return each;
    }
  }
  return std::nullopt;
}

/// Bytes that are no UTF-8 become "?", for what a guest or a user may have put there.
std::string dump(const json& object) {
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// An object, or nothing.
std::optional<json> object_of(std::string_view line) {
  auto parsed = json::parse(line, nullptr, false);
  return parsed.is_object() ? std::optional(std::move(parsed)) : std::nullopt;
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::int64_t number_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

json error_object(const Error& error) {
  return {{"kind", name_of(kKinds, error.kind())}, {"text", error.to_string()}};
}

std::optional<Error> error_at(const json& object) {
  const auto found = object.find("error");
  if (found == object.end() || !found->is_object()) {
    return std::nullopt;
  }
  return Error(value_of(kKinds, text_at(*found, "kind")).value_or(ErrorKind::kHost),
               text_at(*found, "text"));
}

/// Any other number is none of an exit status or a signal.
int small_number_at(const json& object, const char* key) {
  constexpr std::int64_t kMost = 255;
  const auto number = number_at(object, key);
  return number >= 0 && number <= kMost ? static_cast<int>(number) : static_cast<int>(kMost);
}

}  // namespace

std::string to_line(const TakeRequest& request) {
  return dump({{"take", 1}, {"machine", request.machine}});
}

std::optional<TakeRequest> read_take_request(std::string_view line) {
  const auto object = object_of(line);
  if (!object || number_at(*object, "take") != 1) {
    return std::nullopt;
  }
  return TakeRequest{.machine = text_at(*object, "machine")};
}

std::string to_line(const TakenGuest& guest) {
  return dump({{"guest", guest.name}, {"socket", guest.socket}, {"pid", guest.pid}});
}

std::string refusal_line(const Error& error) {
  return dump({{"error", error_object(error)}});
}

Result<TakenGuest> read_take_answer(std::string_view line) {
  const auto object = object_of(line);
  if (object) {
    if (const auto error = error_at(*object)) {
      return Error(*error);
    }
    TakenGuest guest;
    guest.name = text_at(*object, "guest");
    guest.socket = text_at(*object, "socket");
    guest.pid = number_at(*object, "pid");
    if (!guest.name.empty() && guest.socket.starts_with('/')) {
      return guest;
    }
  }
  return fail(ErrorKind::kHost, "The pool says what is no answer: is it of this version of gpuvm?");
}

std::string to_line(const LeaseWord& word) {
  json object = {{"do", name_of(kLeaseWords, word.kind)}};
  if (word.kind == LeaseWord::Kind::kGo) {
    object["words"] = word.words;
  }
  return dump(object);
}

std::optional<LeaseWord> read_lease_word(std::string_view line) {
  const auto object = object_of(line);
  const auto kind = object ? value_of(kLeaseWords, text_at(*object, "do")) : std::nullopt;
  if (!kind) {
    return std::nullopt;
  }
  return LeaseWord{.kind = *kind, .words = text_at(*object, "words")};
}

std::string to_line(const MemberWord& word) {
  json object = {{"say", name_of(kMemberWords, word.kind)}};
  const RunResult& result = word.result;
  if (word.kind == MemberWord::Kind::kEnded || word.kind == MemberWord::Kind::kOwner) {
    object["end"] = name_of(kEnds, result.end);
    object["exit_status"] = result.exit_status;
    object["reboots"] = result.reboots;
    object["signal"] = result.signal;
  }
  if (result.error) {
    object["error"] = error_object(*result.error);
  }
  return dump(object);
}

std::optional<MemberWord> read_member_word(std::string_view line) {
  const auto object = object_of(line);
  const auto kind = object ? value_of(kMemberWords, text_at(*object, "say")) : std::nullopt;
  if (!kind) {
    return std::nullopt;
  }
  MemberWord word;
  word.kind = *kind;
  word.result.end = value_of(kEnds, text_at(*object, "end")).value_or(RunEnd::kFailed);
  word.result.exit_status = small_number_at(*object, "exit_status");
  word.result.reboots = static_cast<std::uint64_t>(small_number_at(*object, "reboots"));
  word.result.signal = small_number_at(*object, "signal");
  word.result.error = error_at(*object);
  return word;
}

}  // namespace gpuvm::pool
