// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/memory/numa_plan.hpp"

#include <algorithm>
#include <numeric>

#include "vmm/base/log.hpp"
#include "vmm/host/numa.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

/// The node of the GPU: of the first display controller that has one.
std::optional<unsigned> find_gpu_node(const HostSystem& host, const FunctionPointers& functions) {
  for (const HostFunction* const function : functions) {
    if (function->is_remote()) {
      continue;
    }
    const auto device = HostPciDevice::open(host, function->host);
    if (device && device->is_display() && device->numa_node()) {
      return *device->numa_node();
    }
  }
  return std::nullopt;
}

std::vector<GuestRange> ranges_of(const GuestMemory& memory) {
  std::vector<GuestRange> ranges;
  for (const auto& region : memory.regions()) {
    ranges.push_back(region.range);
  }
  return ranges;
}

/// Nobody asked for this node: where the host refuses to choose one (a container's seccomp filter,
/// a kernel without NUMA) the guest starts all the same, only slower.
void prefer_node(GuestMemory& memory, const std::vector<GuestRange>& ranges, unsigned host_node) {
  for (const auto& range : ranges) {
    if (const auto placed = memory.place_on_node(range, host_node, NodePolicy::kPrefer); !placed) {
      log::warn("Guest memory comes from where the host likes, not from the GPU's node {}: {}",
                host_node, placed.error().to_string());
      return;
    }
  }
  log::debug("Guest memory comes from the GPU's node {}", host_node);
}

CpuTopology topology_of(const Config& config) {
  if (config.nodes.empty()) {
    return CpuTopology::one_package(config.machine.cpus);
  }
  std::vector<std::vector<unsigned>> packages;
  for (const auto& node : config.nodes) {
    packages.push_back(node.cpus);
  }
  return CpuTopology::of_packages(packages);
}

}  // namespace

Status check_places(const HostSystem& host, const Config& config) {
  for (std::size_t i = 0; i < config.nodes.size(); ++i) {
    if (config.nodes[i].host_node) {
      TRY(check_numa_node(host, *config.nodes[i].host_node, fmt::format("node.{}.host_node", i)));
    }
  }
  for (const unsigned cpu : config.machine.pin) {
    TRY(check_host_cpu(host, cpu, "machine.pin"));
  }
  return {};
}

std::vector<std::vector<GuestRange>> cut_memory(const std::vector<GuestRange>& memory,
                                                const std::vector<std::uint64_t>& sizes) {
  std::vector<std::vector<GuestRange>> parts;
  auto region = memory.begin();
  std::uint64_t used = 0;  // of *region
  for (std::uint64_t size : sizes) {
    auto& part = parts.emplace_back();
    while (size > 0 && region != memory.end()) {
      const std::uint64_t piece = std::min(size, region->size() - used);
      part.push_back(*GuestRange::create(region->base() + used, piece));
      size -= piece;
      used += piece;
      if (used == region->size()) {
        ++region;
        used = 0;
      }
    }
  }
  return parts;
}

Result<NumaPlan> NumaPlan::create(const HostSystem& host, const Config& config,
                                  const FunctionPointers& functions, const GuestMemory& memory) {
  TRY(check_places(host, config));
  NumaPlan plan;
  plan.cpus_ = topology_of(config);
  plan.gpu_node_ = find_gpu_node(host, functions);
  for (const HostFunction* const function : functions) {
    if (function->view.coherent.is_there()) {
      plan.with_memory_.push_back(function->name());
    }
    const auto device = function->is_remote()
                            ? Result<HostPciDevice>(fail(ErrorKind::kHost, "none"))
                            : HostPciDevice::open(host, function->host);
    if (device && device->numa_node()) {
      plan.near_.push_back({function->name(), *device->numa_node()});
    }
  }
  std::vector<std::uint64_t> sizes;
  for (const auto& node : config.nodes) {
    sizes.push_back(node.memory);
    plan.nodes_.push_back({.cpus = node.cpus,
                           .memory = {},
                           .host_node = node.host_node ? node.host_node : plan.gpu_node_,
                           .is_strict = node.host_node.has_value()});
  }
  if (plan.nodes_.empty() && !plan.with_memory_.empty()) {
    // All that is ordinary is one node then.
    std::vector<unsigned> all(config.machine.cpus);
    std::iota(all.begin(), all.end(), 0U);
    sizes.push_back(config.machine.memory);
    plan.nodes_.push_back({.cpus = std::move(all), .memory = {}, .host_node = plan.gpu_node_});
  }
  const auto parts = cut_memory(ranges_of(memory), sizes);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    plan.nodes_[i].memory = parts[i];
  }
  plan.find_distances(host);
  plan.find_cpus(host);
  return plan;
}

void NumaPlan::find_cpus(const HostSystem& host) {
  if (nodes_.empty() && gpu_node_) {
    host_cpus_.emplace(*gpu_node_, numa_cpus(host, *gpu_node_));
  }
  for (const Node& node : nodes_) {
    if (node.host_node) {
      host_cpus_.emplace(*node.host_node, numa_cpus(host, *node.host_node));
    }
  }
}

/// As the host's nodes are apart, where both are known.
void NumaPlan::find_distances(const HostSystem& host) {
  constexpr std::uint8_t kLeastRemote = kNumaLocalDistance + 1;  // guests refuse less
  distances_.assign(nodes_.size(), std::vector<std::uint8_t>(nodes_.size(), kNumaRemoteDistance));
  for (std::size_t from = 0; from < nodes_.size(); ++from) {
    for (std::size_t to = 0; to < nodes_.size(); ++to) {
      if (from == to) {
        distances_[from][to] = kNumaLocalDistance;
        continue;
      }
      const bool known = nodes_[from].host_node && nodes_[to].host_node;
      const auto distance =
          known ? numa_distance(host, *nodes_[from].host_node, *nodes_[to].host_node)
                : std::nullopt;
      if (distance) {
        distances_[from][to] = std::max(*distance, kLeastRemote);
      }
    }
  }
}

Status NumaPlan::bind(GuestMemory& memory) const {
  for (const auto& [node, cpus] : host_cpus_) {
    memory.set_node_cpus(node, cpus);
  }
  if (nodes_.empty() && gpu_node_) {
    prefer_node(memory, ranges_of(memory), *gpu_node_);
  }
  for (const auto& node : nodes_) {
    if (node.host_node && !node.is_strict) {
      prefer_node(memory, node.memory, *node.host_node);
    } else if (node.host_node) {
      for (const auto& range : node.memory) {
        TRY(memory.place_on_node(range, *node.host_node, NodePolicy::kBind));
      }
    }
  }
  return {};
}

std::optional<std::uint32_t> NumaPlan::node_of(const HostFunction& function) const {
  const auto own = std::find(with_memory_.begin(), with_memory_.end(), function.name());
  if (own != with_memory_.end()) {
    return static_cast<std::uint32_t>(nodes_.size()) +
           static_cast<std::uint32_t>(own - with_memory_.begin());
  }
  return near_node(function);
}

std::optional<std::uint32_t> NumaPlan::near_node(const HostFunction& function) const {
  return near_node(function.name());
}

std::optional<std::uint32_t> NumaPlan::near_node(std::string_view function) const {
  const auto near = std::find_if(near_.begin(), near_.end(),
                                 [&](const Near& each) { return each.function == function; });
  if (near == near_.end()) {
    return std::nullopt;
  }
  const auto node = std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& each) {
    return each.host_node == near->host_node;
  });
  return node == nodes_.end() ? std::nullopt
                              : std::optional(static_cast<std::uint32_t>(node - nodes_.begin()));
}

std::optional<std::uint32_t> NumaPlan::bridge_node() const {
  const Near* first = nullptr;
  for (const auto& near : near_) {
    const auto node = near_node(near.function);
    if (!node) {
      continue;
    }
    first = first != nullptr ? first : &near;
    if (near_node(first->function) != node) {
      log::info(
          "The guest's kernel will not know its PCI devices' NUMA nodes, which it takes from the "
          "host bridge: {} is near to node {}, {} to node {}",
          first->function, *near_node(first->function), near.function, *node);
      return std::nullopt;
    }
  }
  return first != nullptr ? near_node(first->function) : std::nullopt;
}

std::optional<AcpiNuma> NumaPlan::describe(const std::vector<GuestRange>& device_memory,
                                           std::vector<AcpiNumaInitiator> initiators) const {
  if (nodes_.empty()) {
    return std::nullopt;
  }
  AcpiNuma numa;
  numa.cpu_domains.assign(cpus_.cpus(), 0);
  for (std::uint32_t node = 0; node < nodes_.size(); ++node) {
    for (const unsigned cpu : nodes_[node].cpus) {
      numa.cpu_domains[cpu] = node;
    }
    for (const auto& range : nodes_[node].memory) {
      numa.memory.push_back({.range = range, .domain = node});
    }
  }
  auto domain = static_cast<std::uint32_t>(nodes_.size());
  for (const auto& range : device_memory) {
    numa.memory.push_back({.range = range, .domain = domain++, .is_device = true});
  }
  numa.initiators = std::move(initiators);
  numa.distances = distances_;
  numa.distances.resize(domain);
  for (std::uint32_t i = 0; i < domain; ++i) {
    numa.distances[i].resize(domain, kNumaRemoteDistance);
    numa.distances[i][i] = kNumaLocalDistance;
  }
  return numa;
}

}  // namespace gpuvm
