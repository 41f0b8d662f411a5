// SPDX-License-Identifier: Apache-2.0
// Taps of the host (Linux, Documentation/networking/tuntap.rst): network interfaces whose cable
// ends in a descriptor. One that gpuvm makes is not persistent: it goes, out of its bridge too,
// when the last descriptor is closed, also when gpuvm is killed. Missing: a tap's owner.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/unique_fd.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

struct TapRequest {
  std::string name = {};       ///< used as it is if it is there, else made; empty: made as gpuvmN
  std::string bridge = {};     ///< which a tap that is made joins; one that is there must be in it
  std::optional<int> fd = {};  ///< in place of both: a tap that somebody has opened
  std::optional<std::uint16_t> mtu = {};  ///< of a tap that is made
  std::uint16_t queues = 1;               ///< more than one not with fd
};

struct Tap {
  UniqueFd fd;           ///< non-blocking, close-on-exec; frames behind a virtio header of 12 bytes
  std::string name;      ///< of the interface
  bool offloads = true;  ///< TUNSETOFFLOAD works
  std::vector<UniqueFd> more = {};  ///< further queues, as fd; all are attached
};

/// Looks, and changes nothing. Errors, each with the cure: kConfig (no such bridge, no tap), kHost
/// (no /dev/net/tun).
Status check_tap(const HostSystem& host, const TapRequest& request);

/// Opens the tap, makes it where that is asked for, and puts it up then. Takes over request.fd.
/// Errors: those of check_tap(), kHost (no permission, in use).
Result<Tap> open_tap(const HostSystem& host, const TapRequest& request);

}  // namespace gpuvm
