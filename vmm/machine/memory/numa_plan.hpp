// SPDX-License-Identifier: Apache-2.0
// NumaPlan: the guest's NUMA nodes: those of the configuration, each a package of CPUs, then one
// for each function with coherent memory; where their memory comes from on the host; and what ACPI
// says of them. Missing: nodes whose memory the host may move, memory-less nodes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "firmware/acpi/acpi_numa.hpp"
#include "vmm/base/cpu_topology.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

/// Errors: kConfig for a node or processor that the configuration names and the host does not have.
Status check_places(const HostSystem& host, const Config& config);

class NumaPlan {
 public:
  /// Errors: kConfig for a node or processor that the host does not have. `host` is only read now.
  static Result<NumaPlan> create(const HostSystem& host, const Config& config,
                                 const FunctionPointers& functions, const GuestMemory& memory);

  /// Puts guest memory on the host's nodes, and has their processors give it its pages. Before its
  /// prefault(). Errors: kHost where the host refuses a node that the configuration names; one that
  /// was only a preference is a warning.
  Status bind(GuestMemory& memory) const;

  /// The guest's vCPUs. Those of a node are a package, because guests take for granted that a
  /// package and its cache are in one node (Linux, arch/x86/kernel/smpboot.c, topology_sane).
  const CpuTopology& cpus() const { return cpus_; }
  /// The guest's node of a function's memory, or that the function is near to; nothing where none
  /// is known.
  std::optional<std::uint32_t> node_of(const HostFunction& function) const;
  /// The guest's node with the CPUs and memory that are near to the function on the host: never one
  /// of a function's own memory. Nothing where none is known.
  std::optional<std::uint32_t> near_node(const HostFunction& function) const;
  /// The one near_node() of all functions that have any; nothing where they disagree, which
  /// the log tells. Linux on x86 knows a PCI device's node by its host bridge alone
  /// (arch/x86/pci/acpi.c, pci_acpi_root_get_node), and there is one.
  std::optional<std::uint32_t> bridge_node() const;

  /// What the tables say. `device_memory`: in the order of the functions that have it.
  std::optional<AcpiNuma> describe(const std::vector<GuestRange>& device_memory,
                                   std::vector<AcpiNumaInitiator> initiators) const;

 private:
  struct Node {
    std::vector<unsigned> cpus;
    std::vector<GuestRange> memory;
    std::optional<unsigned> host_node;
    bool is_strict = false;  ///< the user named the host's node
  };
  NumaPlan() = default;
  std::optional<std::uint32_t> near_node(std::string_view function) const;
  void find_distances(const HostSystem& host);
  void find_cpus(const HostSystem& host);

  CpuTopology cpus_ = CpuTopology::one_package(1);
  std::vector<Node> nodes_;
  std::vector<std::string> with_memory_;  ///< names of functions with memory of their own
  std::vector<std::vector<std::uint8_t>> distances_;  ///< between nodes_
  struct Near {
    std::string function;
    unsigned host_node;
  };
  std::vector<Near> near_;
  std::map<unsigned, std::vector<unsigned>> host_cpus_;  ///< of the host's nodes that are meant
  std::optional<unsigned> gpu_node_;  ///< of the host; for memory that no node speaks of
};

/// Guest memory cut into consecutive parts of these sizes, which add up to it: each part as the
/// ranges that it covers.
std::vector<std::vector<GuestRange>> cut_memory(const std::vector<GuestRange>& memory,
                                                const std::vector<std::uint64_t>& sizes);

}  // namespace gpuvm
