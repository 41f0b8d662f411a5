// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/describe_tree.hpp"

#include <cpuid.h>

#include <algorithm>
#include <map>

#include "devices/pci/bar_set.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/kvm/kvm_system.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/devices/host_devices.hpp"
#include "vmm/machine/devices/msix_preview.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/machine/memory/numa_plan.hpp"
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

BarDescription description_of(const PciBar& bar) {
  BarDescription out;
  out.kind = bar.index == BarSet::kRom ? BarKind::kRom
             : bar.io                  ? BarKind::kIo
             : bar.wide                ? BarKind::kMemory64
                                       : BarKind::kMemory32;
  out.size = bar.size;
  out.prefetchable = bar.prefetchable && out.kind != BarKind::kRom;
  return out;
}

/// A root port and what is behind it; the functions' BARs in the order of the request.
struct DescribedPort {
  PortRequest request;
  std::vector<TreeFunction> functions;
};

/// The BAR that takes the MSI-X table is new or grows; BARs are in the order of their numbers.
void show_msix_home(const MsixHome& home, std::vector<PciBar>& bars) {
  const auto at = std::find_if(bars.begin(), bars.end(),
                               [&](const PciBar& bar) { return bar.index >= home.bar; });
  if (at != bars.end() && at->index == home.bar) {
    at->size = home.description.size;
    return;
  }
  bars.insert(at,
              PciBar{.index = static_cast<std::uint8_t>(home.bar), .size = home.description.size});
}

/// As the guest sees them.
Result<std::vector<PciBar>> bars_of(const HostSystem& host, const HostPciDevice& device,
                                    const FunctionSettings& settings) {
  auto bars = TRY(device.bars());
  const auto& rom = settings.rom;
  if (rom.hidden || !rom.contents.empty()) {
    std::erase_if(bars, [](const PciBar& bar) { return bar.index == BarSet::kRom; });
  }
  if (!rom.hidden && !rom.contents.empty()) {
    bars.push_back({.index = BarSet::kRom, .size = RomWindow::size_for(rom.contents.size())});
  }
  std::erase_if(bars, [&](const PciBar& bar) { return settings.coherent.bar == bar.index; });
  const auto msix =
      TRY(preview_msix(host, device, settings.msix_relocation, settings.coherent.bar));
  if (msix && msix->home) {
    show_msix_home(*msix->home, bars);
  }
  return bars;
}

Status add_function(const HostSystem& host, const HostFunction& function, DescribedPort& port) {
  if (function.is_remote()) {
    return fail(ErrorKind::kHost, "What the vfio-user server at {} has is known to a run only",
                function.socket);
  }
  const auto device = TRY(HostPciDevice::open(host, function.host));
  TreeFunction out;
  out.port_devfn = static_cast<std::uint8_t>((function.port + 1) << 3);
  out.devfn = function.function;
  const auto& identity = function.settings.identity;
  out.vendor = identity.vendor.value_or(device.ids().vendor);
  out.device = identity.device.value_or(device.ids().device);
  out.class_code = identity.class_code.value_or(device.ids().class_code);
  for (const auto& bar : TRY(bars_of(host, device, function.settings))) {
    port.request.bars.push_back({function.host.to_string(), bar.index, description_of(bar)});
    out.bars.push_back({.index = bar.index,
                        .io = bar.io,
                        .wide = bar.wide,
                        .prefetchable = bar.prefetchable,
                        .base = 0,
                        .size = bar.size});
  }
  port.functions.push_back(std::move(out));
  return {};
}

/// By port number; port 0 is always there.
Result<std::map<std::uint8_t, DescribedPort>> describe_ports(
    const HostSystem& host, const std::vector<HostFunction>& functions) {
  std::map<std::uint8_t, DescribedPort> ports;
  ports[0] = {};
  for (const auto& function : functions) {
    TRY(add_function(host, function, ports[function.port]));
  }
  for (auto& [number, port] : ports) {
    port.request.name = fmt::format("root port {}", number);
  }
  return ports;
}

/// Gives the BARs their addresses; the ROM's BAR is none of the tree's.
void place(DescribedPort& port, const PortPlacement& placement, std::uint8_t bus) {
  auto address = placement.addresses.begin();
  for (auto& function : port.functions) {
    function.bus = bus;
    for (auto& bar : function.bars) {
      bar.base = *address++;
    }
    std::erase_if(function.bars, [](const TreeBar& bar) { return bar.index == BarSet::kRom; });
  }
}

/// Where devices' memory goes.
Result<std::vector<GuestRange>> describe_memory(const HostSystem& host,
                                                const std::vector<HostFunction>& functions,
                                                const GuestMemory& memory, unsigned address_bits) {
  for (const auto& function : functions) {
    if (function.settings.coherent.region) {
      return fail(ErrorKind::kHost, "{}: What its coherent_memory has is known to a run only",
                  function.name());
    }
  }
  const auto wanted = TRY(device_memory_of(host, functions));
  return place_device_memory(memory, wanted, address_bits);
}

Result<GuestTables> describe_pci(const Config& config, const HostSystem& host,
                                 const GuestMemory& memory) {
  const auto functions = TRY(resolve_functions(host, config.pci));
  auto ports = TRY(describe_ports(host, functions));
  std::vector<PortRequest> requests;
  requests.reserve(ports.size());
  for (const auto& [number, port] : ports) {
    requests.push_back(port.request);
  }
  GuestTables tables;
  const unsigned address_bits = TRY(guest_address_bits());
  tables.device_memory = TRY(describe_memory(host, functions, memory, address_bits));
  const auto numa = TRY(NumaPlan::create(host, config, functions, memory));
  tables.cpus = numa.cpus();
  tables.numa = numa.describe(tables.device_memory, {});
  const auto free = free_above_memory(memory, tables.device_memory, address_bits);
  const auto plan = TRY(plan_pci(free, requests));
  tables.buses = static_cast<unsigned>(ports.size()) + 1;
  tables.pci = tree_without_functions(plan.aperture64, tables.buses);
  std::size_t index = 0;
  for (auto& [number, port] : ports) {
    place(port, plan.placements[index], static_cast<std::uint8_t>(index + 1));
    ++index;
    for (auto& function : port.functions) {
      tables.functions.push_back({.tree = std::move(function), .rom = {}});
    }
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
