// SPDX-License-Identifier: Apache-2.0
// The host's NUMA nodes, from sysfs (Linux, Documentation/ABI/stable/sysfs-devices-node).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Numbers of the nodes that are online, ascending; empty where the kernel knows no nodes.
std::vector<unsigned> numa_nodes(const HostSystem& host);

/// "0-3,8" as the kernel writes lists; nothing for a text that is none. At most 4096 numbers.
std::optional<std::vector<unsigned>> parse_number_list(const std::string& text);

/// Its processors; empty where the kernel does not say, or it has none.
std::vector<unsigned> numa_cpus(const HostSystem& host, unsigned node);

/// ACPI's distance between two nodes (10: the same); nothing where the kernel does not say.
std::optional<std::uint8_t> numa_distance(const HostSystem& host, unsigned from, unsigned to);

/// Errors: kConfig, naming `key`, where the host has no such node.
Status check_numa_node(const HostSystem& host, unsigned node, const std::string& key);

/// Errors: kConfig, naming `key`, where the host has no such processor, or it is offline.
Status check_host_cpu(const HostSystem& host, unsigned cpu, const std::string& key);

}  // namespace gpuvm
