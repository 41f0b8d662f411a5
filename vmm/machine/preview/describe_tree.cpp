// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/describe_tree.hpp"

#include <cpuid.h>

#include "devices/passthrough/function_plan.hpp"
#include "devices/pci/bar_set.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/kvm/kvm_system.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/machine/devices/sysfs_facts.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/machine/memory/numa_plan.hpp"
#include "vmm/machine/pci/firmware_functions.hpp"
#include "vmm/machine/pci/pci_plan.hpp"

namespace gpuvm {
namespace {

/// What KVM offers a guest; where there is none, the host's own.
Result<unsigned> guest_address_bits() {
  if (const auto kvm = KvmSystem::open()) {
    return physical_address_bits(TRY(kvm->supported_cpuid()));
  }
  CpuidEntry entry{.leaf = 0x80000008};
  auto& [a, b, c, d] = entry.registers;
  const bool known = __get_cpuid(entry.leaf, &a, &b, &c, &d) != 0;
  return physical_address_bits(std::span(&entry, known ? 1U : 0U));
}

/// A function as far as sysfs tells.
struct DescribedFunction {
  TreeFunction tree;
  BarSet bars;
};

std::uint64_t rom_size_of(const FunctionFacts& facts, const RomSource& rom) {
  if (rom.hidden) {
    return 0;
  }
  return rom.contents.empty() ? facts.offers.rom_size : RomWindow::size_for(rom.contents.size());
}

/// Ids and BARs as the guest sees them; where it is on the bus is the caller's to fill in.
Result<DescribedFunction> describe_sysfs_function(const HostSystem& host,
                                                  const HostFunction& function) {
  if (function.is_remote()) {
    return fail(ErrorKind::kHost, "What the vfio-user server at {} has is known to a run only",
                function.socket);
  }
  const auto device = TRY(HostPciDevice::open(host, function.host));
  TRY(device.bars());  // without them there is nothing to describe
  auto facts = sysfs_facts(host, device);
  TRY(take_bar_size(facts, host, function.host, function.bar_size));
  const auto& view = function.view;
  const auto plan = TRY(FunctionPlan::create(function.name(), facts, view, {}));
  DescribedFunction out;
  out.tree.vendor = plan.shown.vendor;
  out.tree.device = plan.shown.device;
  out.tree.class_code = view.identity.class_code.value_or(facts.class_code);
  for (unsigned number = 0; number < plan.bars.size(); ++number) {
    if (plan.bars.at(number)) {
      TRY(out.bars.define(number, *plan.bars.at(number)));
    }
  }
  if (const auto size = rom_size_of(facts, view.rom); size != 0) {
    TRY(out.bars.define(BarSet::kRom, {.kind = BarKind::kRom, .size = size}));
  }
  return out;
}

/// All functions, by port and slot, at their power-on addresses.
Result<std::vector<TreeFunction>> place_functions(std::vector<DescribedFunction> described,
                                                  const std::vector<PlannedPort>& ports,
                                                  const FunctionPointers& functions,
                                                  std::span<const PortPlacement> placements) {
  std::vector<TreeFunction> placed;
  for (std::size_t i = 0; i < ports.size(); ++i) {
    std::size_t next = 0;
    for (const auto index : ports[i].functions) {
      auto& [tree, bars] = described[index];
      TRY(place_set(bars, placements[i], next));
      tree.port_devfn = ports[i].devfn();
      tree.bus = ports[i].bus;
      tree.devfn = functions[index]->function;
      tree.bars = tree_bars(bars);
      placed.push_back(std::move(tree));
    }
  }
  return placed;
}

std::vector<PortRequest> requests_of(const std::vector<DescribedFunction>& described,
                                     const std::vector<PlannedPort>& ports,
                                     const FunctionPointers& functions, std::uint64_t reserve) {
  std::vector<PortRequest> requests;
  for (const auto& port : ports) {
    PortRequest request{.name = port.name()};
    if (port.is_free) {
      request.bars = reservation_of(reserve);
    }
    for (const auto index : port.functions) {
      append_requests(described[index].bars, functions[index]->name(), request.bars);
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

/// Where devices' memory goes.
Result<std::vector<GuestRange>> describe_memory(const HostSystem& host,
                                                const FunctionPointers& functions,
                                                const GuestMemory& memory, unsigned address_bits) {
  for (const HostFunction* const function : functions) {
    if (function->view.coherent.region) {
      return fail(ErrorKind::kHost, "{}: What its coherent_memory has is known to a run only",
                  function->name());
    }
  }
  const auto wanted = TRY(device_memory_of(host, functions));
  return place_device_memory(memory, wanted, address_bits);
}

Result<GuestTables> describe_pci(const Config& config, const HostSystem& host,
                                 const GuestMemory& memory) {
  const auto resolved = TRY(resolve_functions(host, config.pci));
  const auto functions = pointers_to(resolved);
  const auto ports = plan_ports(functions, config.machine.free_ports);
  std::vector<DescribedFunction> described;
  for (const HostFunction* const function : functions) {
    described.push_back(TRY(describe_sysfs_function(host, *function)));
  }
  GuestTables tables;
  const unsigned address_bits = TRY(guest_address_bits());
  tables.device_memory = TRY(describe_memory(host, functions, memory, address_bits));
  const auto numa = TRY(NumaPlan::create(host, config, functions, memory));
  tables.cpus = numa.cpus();
  tables.numa = numa.describe(tables.device_memory, {});
  const auto free = free_above_memory(memory, tables.device_memory, address_bits);
  const auto plan =
      TRY(plan_pci(free, requests_of(described, ports, functions, config.machine.reserve)));
  tables.buses = bus_count(ports);
  tables.pci = tree_without_functions(plan.aperture64, tables.buses);
  for (auto& tree : TRY(place_functions(std::move(described), ports, functions, plan.placements))) {
    tables.functions.push_back({.tree = std::move(tree), .rom = {}});
  }
  return tables;
}

}  // namespace

Result<std::string> describe_tree(const Config& config, const HostSystem& host) {
  if (config.boot.mode != BootMode::kEfiHandover) {
    return fail(ErrorKind::kConfig,
                "Only boot.mode = \"efi-handover\" has a device tree; add --set "
                "boot.mode=efi-handover to see it");
  }
  GuestMemoryOptions options;
  options.size = config.machine.memory;
  options.low_limit = layout::kLowRamLimit;
  const auto memory = TRY(GuestMemory::create(options));
  const auto tables = TRY(describe_pci(config, host, memory));
  return print_tree(TRY(make_guest_tree(config, memory, tables)));
}

}  // namespace gpuvm
