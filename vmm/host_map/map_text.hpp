// SPDX-License-Identifier: Apache-2.0
// A HostMap for people: the tree of IOMMU groups as it is pasted into forums, all that is known of
// each function, and the entries to paste into a configuration.
#pragma once

#include <string>

#include "vmm/host_map/host_map.hpp"

namespace gpuvm {

/// Which groups are shown, always as a whole.
enum class MapFilter {
  kAll,
  kGpus,  ///< those with a GPU
};

/// "08:00.0 VGA compatible controller [0300]: NVIDIA … [10de:1b80] (rev a1)", as lspci -nn has it.
std::string function_line(const HostMap& map, const MapFunction& function);

std::string tree_text(const HostMap& map, MapFilter filter);

/// The entries that bring a function to a guest, as TOML. Empty where it stays with the host.
std::string entries_toml(const HostMap& map, const MapFunction& function);

/// "can be passed", "can be passed, but take note", "stays with the host", or what stops it.
std::string verdict_text(const MapFunction& function);

/// Groups, functions, verdicts, then the entries of each GPU.
std::string devices_text(const HostMap& map, MapFilter filter);

}  // namespace gpuvm
