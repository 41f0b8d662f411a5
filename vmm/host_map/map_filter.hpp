// SPDX-License-Identifier: Apache-2.0
// Which groups of a HostMap are shown; for the files of this room that show them.
#pragma once

#include <vector>

#include "vmm/host_map/map_text.hpp"

namespace gpuvm {

/// In the map's order; `map` must outlive them.
std::vector<const MapGroup*> shown_groups(const HostMap& map, MapFilter filter);

}  // namespace gpuvm
