// SPDX-License-Identifier: Apache-2.0
// What the sections of a configuration could get of this host, and what is against each card: who
// has it or waits for it, what of it the host uses, whether it is well. Reads sysfs, /proc and the
// files in /run/gpuvm, and changes nothing.
// Missing: whether a safe reset of a card is known, which the start finds out, and `gpuvm inspect`
// shows; two cards in one IOMMU group, which only a guest with both could have.
#pragma once

#include <span>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/cards/choice.hpp"
#include "vmm/cards/queue.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Which sections ask.
enum class Askers {
  kMatch,  ///< those that leave it open which card it is
  kAll,    ///< those that name it, too: also for it may be waited
};

/// In the order of the sections; cards in the order of their addresses. `ahead`: others in the
/// queue whose turn comes first. Errors: kConfig, kHost or kUnsafeDevice where a section names a
/// device that no waiting makes fit.
Result<std::vector<CardWish>> survey_cards(const HostSystem& host, const Config& config,
                                           Askers askers, std::span<const WaitingGuest> ahead);

/// The section with this card in place of match.
PciConfig with_card(const PciConfig& entry, const Bdf& card);

/// Whether survey_cards() has any wish to look at.
bool asks_for_cards(const Config& config, Askers askers);

}  // namespace gpuvm
