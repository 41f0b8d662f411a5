// SPDX-License-Identifier: Apache-2.0
// Takes a card for each section of a configuration that leaves it open which one it is (match), and
// where it is asked for, waits for cards that others have. A card is claimed
// (vmm/host/device_claim.hpp) as it is chosen, so none is given twice; the start of the guest takes
// the claims over (RunOptions::claims). The queue is queue.hpp: who came first has the first
// choice, card by card, and who waits for another card that is not free keeps nobody. Missing:
// sockets of vfio-user servers are not waited for; without the right to write /run/gpuvm there are
// neither claims nor a queue.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/device_claims.hpp"

namespace gpuvm {

/// How a wait goes on.
struct WaitProgress {
  std::uint64_t ticket = 0;  ///< lower ones came first
  std::size_t ahead = 0;     ///< guests that came first and want one of the same cards
  std::string text;          ///< one line, with who has the cards
};

struct TakeOptions {
  /// The longest wait. Nothing: none, and only for sections with match a card is taken; else also
  /// those that name their device wait for it.
  std::optional<std::chrono::seconds> wait = {};
  /// Told when the wait begins and when something has changed: at once to who is next for a card,
  /// within ten looks to who is not. On the calling thread, without a lock. May be empty.
  std::function<void(const WaitProgress&)> on_progress = {};
  /// Between two looks at what ends without an event (watch.hpp), for who is next for a card.
  std::chrono::milliseconds look_again{1000};
};

struct TakenCards {
  Config config;        ///< each match has become the host that was taken
  DeviceClaims claims;  ///< of these, for RunOptions::claims; empty where no section asked
  std::optional<int> signal = {};  ///< that ended the wait: then nothing was taken
};

/// Blocks until there is a card for every section, or none can be had. SIGINT, SIGTERM and SIGHUP
/// end it at once; where cards were taken they stay blocked on this thread for run_machine(), which
/// takes them. One call at a time in a process. Errors: kHost where no card is free (or not within
/// the wait), with the reason for each; kConfig, kHost, kUnsafeDevice where a section names a
/// device that no waiting makes fit. Whatever comes of it, nothing of it stays behind in
/// /run/gpuvm.
Result<TakenCards> take_cards(const HostSystem& host, const Config& config,
                              const TakeOptions& options);

/// What a section that leaves its card open would get now.
struct CardOffer {
  std::string section;  ///< "pci.0 (guest.toml:3:1), match = any-gpu"
  /// "0000:01:00.0 now; 0000:02:00.0: taken by gpuvm 42 (…)": its card, and what is against the
  /// others.
  std::string text;
  bool has_card = false;  ///< one is free for it
};

/// What a start would take now.
struct CardPreview {
  Config
      config;  ///< each match has become a host; sections for which there is no card are left out
  std::vector<Finding> findings;       ///< errors, as take_cards() would have them without a wait
  Status left_out = {};                ///< the error where a section is left out
  std::vector<CardOffer> offers = {};  ///< of the sections with match, in their order
};

/// Takes nothing and changes nothing. Where no card is free, the first that is not is shown in its
/// place. Tells in `node` which card each section has, and what is against the others.
CardPreview preview_cards(const HostSystem& host, const Config& config, InspectNode& node);

}  // namespace gpuvm
