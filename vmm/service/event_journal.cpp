// SPDX-License-Identifier: Apache-2.0
#include "vmm/service/event_journal.hpp"

#include <fmt/format.h>

#include <variant>

#include "vmm/base/text.hpp"

namespace gpuvm {
namespace {

using Entry = std::optional<EventEntry>;
using log::Level;

Entry entry_for(const StateChange& change) {
  return EventEntry{.level = Level::kInfo,
                    .event = {.message_id = kGuestStateId, .name = "state"},
                    .text = fmt::format("The guest was {} and is {}", to_string(change.from),
                                        to_string(change.to))};
}

Entry entry_for(const DevicesReset& reset) {
  const bool has_failed = reset.verdict == "failed";
  return EventEntry{
      .level = has_failed ? Level::kError : Level::kInfo,
      .event = {.message_id = has_failed ? kResetFailedId : kDevicesResetId,
                .device = reset.functions,
                .name = "reset"},
      .text = fmt::format("Reset of {} ({}) by {}: {}, {} ms. {}", reset.functions, reset.reason,
                          reset.method, reset.verdict, reset.duration_ms, reset.text)};
}

Entry entry_for_lost(std::string_view name, const std::string& thing, const std::string& why) {
  return EventEntry{.level = Level::kError,
                    .event = {.message_id = kThingLostId, .device = thing, .name = name},
                    .text = fmt::format("{} is gone: {}", thing, why)};
}

Entry entry_for(const NetworkLost& lost) {
  return entry_for_lost("network", lost.network, lost.text);
}

Entry entry_for(const DiskLost& lost) {
  return entry_for_lost("disk", lost.disk, lost.text);
}

Entry entry_for(const ShareLost& lost) {
  return entry_for_lost("share", lost.tag, lost.text);
}

Entry entry_for(const GuestWord& word) {
  if (word.word != "panic" && word.word != "crash_kernel") {
    return std::nullopt;  // the guest may say many of them
  }
  return EventEntry{.level = Level::kError,
                    .event = {.message_id = kGuestPanicId, .name = "word"},
                    .text = fmt::format("The guest's kernel panicked, as {} tells{}", word.channel,
                                        word.word == "panic" ? "" : "; its crash kernel goes on")};
}

/// The log has a line of it.
Entry entry_for(const VsockReady& /*ready*/) {
  return std::nullopt;
}

Entry entry_for(const ScrubUnderWay& /*progress*/) {
  return std::nullopt;
}

Entry entry_for(const EndAsked& /*asked*/) {
  return std::nullopt;
}

Entry entry_for(const RebootDelayed& /*delayed*/) {
  return std::nullopt;  // the log has a line of it
}

Entry entry_for(const CardMoved& /*moved*/) {
  return std::nullopt;  // the log has a line of it
}

/// A forbidden call is the error that the run ends with, which the log has.
Entry entry_for(const SandboxNews& /*news*/) {
  return std::nullopt;
}

}  // namespace

std::optional<EventEntry> entry_of(const GuestEvent& event) {
  return std::visit([](const auto& what) { return entry_for(what); }, event.what);
}

void write_event_to_journal(const GuestEvent& event) {
  if (const auto entry = entry_of(event)) {
    log::journal_event(entry->level, entry->event, without_runner_commands(entry->text));
  }
}

}  // namespace gpuvm
