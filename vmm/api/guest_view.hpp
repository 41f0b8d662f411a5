// SPDX-License-Identifier: Apache-2.0
// What the control socket tells of a guest: its document for people and programs (GET /v1/vm), and
// its numbers for Prometheus (GET /v1/metrics). Both are made of what the configuration says, what
// its events told, and the inspect tree: no device counts anything for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/api/guest_tally.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm {

/// What does not change in a run.
struct ApiGuest {
  std::string name = {};
  std::string config_file = {};  ///< as the user gave it; empty: not known
  unsigned cpus = 0;
  std::uint64_t memory = 0;                ///< bytes
  std::vector<PortForward> forwards = {};  ///< of all its cards
};

ApiGuest api_guest_of(const Config& config, const std::string& config_file);

/// Of the server itself.
struct ApiCounts {
  std::size_t connections = 0;
  std::size_t viewers = 0;  ///< of consoles
};

/// {"name","state","pid","since","uptime_s","config","cpus","memory_bytes","devices","lives","cid",
/// "forward"}; docs/openapi.json says what they are. `machine`: the inspect tree, of any state.
std::string vm_document(const ApiGuest& guest, const GuestTally& tally, const InspectNode& machine);

/// Nodes of the passed-through functions that the guest has: those of the start, then those of
/// cards that have come.
std::vector<const InspectNode*> shown_functions(const InspectNode& machine);

/// In Prometheus' text format. Names: docs/api.md.
std::string metrics_text(const ApiGuest& guest, const GuestTally& tally, const ApiCounts& counts,
                         const InspectNode& machine);

}  // namespace gpuvm
