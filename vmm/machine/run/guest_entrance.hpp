// SPDX-License-Identifier: Apache-2.0
// The ways into a running guest, announced for `gpuvm ssh`.
#pragma once

#include <memory>
#include <string>

#include "vmm/config/config.hpp"
#include "vmm/login/running_guest.hpp"

namespace gpuvm {

/// The host's address and port that lead to the guest's sshd; nothing of them in the record: none.
/// Of several the first. `key` as GuestRecord has it.
GuestRecord entrance_of(const Config& config, const std::string& key);

/// Null where the guest cannot be announced: that is told, and the guest runs all the same.
std::unique_ptr<RunningGuest> announce_guest(const Config& config, const std::string& key);

}  // namespace gpuvm
