// SPDX-License-Identifier: Apache-2.0
// Events of a guest as entries of systemd's journal that can be looked for by their MESSAGE_ID
// (journalctl MESSAGE_ID=…): docs/systemd.md lists them.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/log.hpp"
#include "vmm/control/guest_events.hpp"

namespace gpuvm {

// journalctl MESSAGE_ID=… ; made once, by systemd-id128 new.
inline constexpr std::string_view kResetFailedId = "32e62f7175da4d7b96265813200221f1";
inline constexpr std::string_view kGuestPanicId = "75c1907e389a407c85877a7dfa1d3d25";
inline constexpr std::string_view kGuestStateId = "139bb95162ac4940a95bed9851ab4a16";
inline constexpr std::string_view kDevicesResetId = "14b0cdd10e6445ecb03febd5e9fb4d36";
inline constexpr std::string_view kThingLostId = "2f9305cb4bcf47d5aea51036f5c5ddb0";
/// All of them.
inline constexpr std::array kMessageIds{kResetFailedId, kGuestPanicId, kGuestStateId,
                                        kDevicesResetId, kThingLostId};

/// An entry. The event's texts live as long as the event.
struct EventEntry {
  log::Level level = log::Level::kInfo;
  log::JournalEvent event = {};
  std::string text = {};
};

/// Nothing for events that are not worth an entry.
std::optional<EventEntry> entry_of(const GuestEvent& event);

/// An observer: writes the entry to the journal, where there is one. Any thread.
void write_event_to_journal(const GuestEvent& event);

}  // namespace gpuvm
