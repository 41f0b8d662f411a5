// SPDX-License-Identifier: Apache-2.0
// HostLook: what there is of gpuvm on a host at one moment, for who watches many hosts: its guests,
// and the cards of which gpuvm has a record or a history.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/api_client/vm_status.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/reset_history.hpp"

namespace gpuvm {

enum class FleetCardState {
  kFree,    ///< nobody has it, and it is fit for the next one
  kUsed,    ///< a gpuvm has it
  kDirty,   ///< nobody has it, and a reset must come first; the next start does that
  kFailed,  ///< nobody has it, and the last reset did not make it fit
};
std::string_view to_string(FleetCardState state);

struct FleetCard {
  Bdf function = {};
  FleetCardState state = FleetCardState::kFree;
  std::string owner = {};  ///< who has it: "the guest main"; else who had it when it became dirty
  long pid = 0;            ///< of who has it; 0: nobody, or not known
  std::string text = {};   ///< why it is dirty, or failed
  ResetHistory resets = {};
};

struct HostLook {
  std::chrono::system_clock::time_point time = {};
  std::string host = {};     ///< its name
  std::string boot_id = {};  ///< of this start of its kernel; empty: not known
  std::string version = {};  ///< of the gpuvm that looks
  std::vector<ListedGuest> guests = {};
  std::vector<FleetCard> cards = {};  ///< by address; at most 8192
};

/// The cards now. Of owners in containers pid is 0 where this process cannot see them; what belongs
/// to processes of hosts without /proc/locks and other users is seen as kDirty without root.
std::vector<FleetCard> look_at_cards(const HostSystem& host);
/// The boot's id, of Linux; "" where there is none.
std::string boot_id_of(const HostSystem& host);
/// gethostname(2); "?" where it has none.
std::string host_name();

}  // namespace gpuvm
