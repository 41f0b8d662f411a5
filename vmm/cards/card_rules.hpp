// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the rules by which a card is free, busy or unfit for a section, each of
// which looks at the host for one thing.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "vmm/cards/choice.hpp"
#include "vmm/cards/queue.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// A card in the eyes of a section.
struct CardCandidate {
  const HostSystem& host;
  PciConfig section;  ///< its host is the card, and it has no match
  bool is_named;      ///< by the configuration, not found by match
  Bdf identity;
  std::vector<Bdf> functions;  ///< what the guest would get
  std::span<const Bdf> other;  ///< functions that the guest has by sections with host
  std::span<const WaitingGuest> ahead;
};

struct CardRefusal {
  CardState state;
  Error error;
};

/// The first thing against it; nothing: it is free. The rules that cost least come first.
std::optional<CardRefusal> look_for_refusal(const CardCandidate& candidate);

/// As a reason beside the card's address, which it then leaves out: "in use by the host (…)".
std::string reason_text(const CardCandidate& candidate, const Error& error);

}  // namespace gpuvm
