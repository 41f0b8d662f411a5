// SPDX-License-Identifier: Apache-2.0
// [[node]]: the guest's NUMA nodes. Each vCPU is in one of them, and their memory adds up to the
// guest's. Whether the host has the nodes that are named is known where memory is allocated.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostNodes = 64;
constexpr std::int64_t kMostHostNode = 1023;

Result<NodeConfig> read_node(TableReader entry, const MachineConfig& machine) {
  constexpr std::string_view kRule = "a list of vCPU numbers";
  NodeConfig node;
  const auto cpus =
      TRY(entry.optional_integers("cpus", {0, static_cast<std::int64_t>(machine.cpus) - 1}, kRule));
  if (cpus) {
    std::transform(cpus->begin(), cpus->end(), std::back_inserter(node.cpus),
                   [](std::int64_t cpu) { return static_cast<unsigned>(cpu); });
  }
  std::sort(node.cpus.begin(), node.cpus.end());
  node.memory = TRY(read_memory_size(entry, "memory", 0));
  if (const auto host = TRY(entry.optional_integer("host_node", {0, kMostHostNode}))) {
    node.host_node = static_cast<unsigned>(*host);
  }
  TRY(entry.finish());
  if (node.memory == 0) {
    return entry.wrong("memory", "is missing: say how much of machine.memory the node has");
  }
  TRY(check_memory_granularity(entry, machine, node.memory));
  return node;
}

/// Each vCPU in exactly one node.
Status check_cpus(const std::vector<TableReader>& entries, const std::vector<NodeConfig>& nodes,
                  const MachineConfig& machine) {
  std::vector<int> owner(machine.cpus, -1);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    for (const unsigned cpu : nodes[i].cpus) {
      if (owner[cpu] == static_cast<int>(i)) {
        return entries[i].wrong("cpus", fmt::format("has vCPU {} twice", cpu));
      }
      if (owner[cpu] >= 0) {
        return entries[i].wrong(
            "cpus", fmt::format("has vCPU {}, which node.{} has already", cpu, owner[cpu]));
      }
      owner[cpu] = static_cast<int>(i);
    }
  }
  const auto missing = std::find(owner.begin(), owner.end(), -1);
  if (missing != owner.end()) {
    return entries.back().wrong(
        "cpus", fmt::format("leaves out vCPU {}: each of the {} vCPUs belongs to one node",
                            missing - owner.begin(), machine.cpus));
  }
  return {};
}

Status check_memory(const std::vector<TableReader>& entries, const std::vector<NodeConfig>& nodes,
                    const MachineConfig& machine) {
  std::uint64_t sum = 0;
  for (const auto& node : nodes) {
    sum += node.memory;  // at most 64 times 16 TiB
  }
  if (sum != machine.memory) {
    return entries.back().wrong(
        "memory", fmt::format("makes {} MiB with the other nodes', but machine.memory is {} MiB: "
                              "the nodes' memory must add up to it",
                              sum >> 20, machine.memory >> 20));
  }
  return {};
}

}  // namespace

Result<std::vector<NodeConfig>> read_nodes(const std::vector<TableReader>& entries,
                                           const MachineConfig& machine) {
  std::vector<NodeConfig> nodes;
  for (const auto& entry : entries) {
    if (nodes.size() == kMostNodes) {
      return entry.wrong("cpus",
                         fmt::format("is one node too many: at most {} are accepted", kMostNodes));
    }
    nodes.push_back(TRY(read_node(entry, machine)));
  }
  if (!nodes.empty()) {
    TRY(check_cpus(entries, nodes, machine));
    TRY(check_memory(entries, nodes, machine));
  }
  return nodes;
}

}  // namespace gpuvm::config
