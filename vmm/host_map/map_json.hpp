// SPDX-License-Identifier: Apache-2.0
// A HostMap as JSON for scripts: keys are in gpuvm(1) and stay; new ones may come.
#pragma once

#include <string>

#include "vmm/host_map/map_text.hpp"

namespace gpuvm {

/// One object, in lines, with a line feed at the end.
std::string map_json(const HostMap& map, MapFilter filter);

}  // namespace gpuvm
