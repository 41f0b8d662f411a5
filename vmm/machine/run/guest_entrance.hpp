// SPDX-License-Identifier: Apache-2.0
// The ways into a running guest, announced for `gpuvm ssh`.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "vmm/config/config.hpp"
#include "vmm/login/running_guest.hpp"

namespace gpuvm {

/// The host's address and port that lead to the guest's sshd; nothing of them in the record: none.
/// Of several the first. `key` and `cid` as GuestRecord has
/// them.
GuestRecord entrance_of(const Config& config, const std::string& key,
                        std::optional<std::uint32_t> cid = {});

/// Null where the guest cannot be announced: that is told, and the guest runs all the same.
std::unique_ptr<RunningGuest> announce_guest(const Config& config, const std::string& key,
                                             std::optional<std::uint32_t> cid = {});

}  // namespace gpuvm
