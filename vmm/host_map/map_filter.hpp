// SPDX-License-Identifier: Apache-2.0
// Which groups of a HostMap are shown; for the files of this room that show them.
#pragma once

#include <vector>

#include "vmm/host_map/map_text.hpp"

namespace gpuvm {

/// In the map's order. What is in no group belongs together by its slot alone: of these kGpus shows
/// the slots that have a GPU.
std::vector<MapGroup> shown_groups(const HostMap& map, MapFilter filter);

}  // namespace gpuvm
