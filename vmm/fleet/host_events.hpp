// SPDX-License-Identifier: Apache-2.0
// HostEvents: one stream of lines of JSON (jsonlines.org) for each host, as
// docs/schemas/host-event.schema.json has it: what gpuvm's guests and cards are, when that changes,
// and the certificate of each reset. A line is made of the difference of two looks at the host, so
// that whoever begins to read knows all of it after the first look, and nothing runs on the host
// while nobody reads.
// Missing: a guest that came and went between two looks is told by the certificates of its cards.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "vmm/fleet/host_look.hpp"

namespace gpuvm {

/// One thread.
class HostEvents {
 public:
  /// Of one look: what is more waits for the next ones, of which each tells the rest of what it
  /// finds. A card keeps ResetHistory::kMostNotes certificates meanwhile.
  static constexpr std::size_t kMostLines = 64;
  /// Bytes of a text in a line, and addresses of a guest's devices.
  static constexpr std::size_t kLongestText = 1024;
  static constexpr std::size_t kMostDevices = 64;
  /// A line of the host itself comes as often as this, whatever happens: it lives.
  static constexpr std::chrono::seconds kHeartbeat{60};

  /// What is new since the look before, in lines without line feeds; of the first look, all.
  std::vector<std::string> tell(const HostLook& look);

 private:
  struct ToldReset {
    std::uint64_t number = 0;
    bool is_known = false;  ///< a look has found this card before
  };
  using Lines = std::vector<std::string>;
  void tell_host(const HostLook& look, Lines& lines);
  void tell_resets(const HostLook& look, const FleetCard& card, Lines& lines);
  void tell_cards(const HostLook& look, Lines& lines);
  void tell_guests(const HostLook& look, Lines& lines);
  void tell_gone_guests(const HostLook& look, Lines& lines);
  void forget_gone_cards(const HostLook& look);

  std::optional<std::chrono::system_clock::time_point> last_host_;
  std::map<std::string, std::string> guests_;  ///< what was told, by socket
  std::map<Bdf, std::string> cards_;           ///< what was told
  std::map<Bdf, ToldReset> resets_;
};

}  // namespace gpuvm
