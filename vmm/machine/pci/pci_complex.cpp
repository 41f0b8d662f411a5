// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/pci_complex.hpp"

#include <algorithm>
#include <set>

#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/reset_port.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/devices/link_probe.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/machine/pci/pci_plan.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kEcamName = "ECAM";

std::vector<BarSpace::Forbidden> forbidden_ranges(const GuestMemory& memory,
                                                  const std::optional<GuestRange>& flash) {
  std::vector<BarSpace::Forbidden> ranges = {
      {*GuestRange::create(layout::kEcamBase, layout::kEcamSize), std::string(kEcamName)},
      {*GuestRange::create(layout::kIoApicBase, kPageSize), "I/O APIC"},
      {*GuestRange::create(layout::kLocalApicBase, 1_MiB), "local APIC"},
      {*GuestRange::create(layout::kKvmPagesBase, layout::kKvmPagesSize), "KVM's pages"},
  };
  if (flash) {
    ranges.push_back({*flash, "firmware flash"});
  }
  for (const auto& region : memory.regions()) {
    ranges.push_back({region.range, "RAM"});
  }
  return ranges;
}

GuestRange placeholder() {
  return *GuestRange::create(layout::kFourGiB, 1);
}

/// Buses: the root bus and one behind each port. No more, because Linux looks for devices on each
/// bus that the MCFG table names, 32 trapped accesses a bus.
unsigned bus_count(const HostDevices& devices) {
  std::set<std::uint8_t> ports = {0};
  for (const auto& function : devices.functions()) {
    ports.insert(function.port);
  }
  return static_cast<unsigned>(ports.size()) + 1;
}

}  // namespace

PciComplex::PciComplex(const Options& options)
    : options_(options),
      buses_(bus_count(options.devices)),
      node_(options.numa.bridge_node(options.devices.functions())),
      aperture64_(placeholder()),
      bar_space_(forbidden_ranges(options.memory, options.firmware_flash)),
      ecam_at_(*GuestRange::create(layout::kEcamBase, layout::kEcamSize)),
      host_bridge_(HostBridge::create(*GuestRange::create(layout::kEcamBase, layout::kEcamSize))),
      ecam_(topology_, buses_),
      config_ports_(topology_, &options.reset_port) {}

Result<std::unique_ptr<PciComplex>> PciComplex::create(const Options& options) {
  std::unique_ptr<PciComplex> complex(new PciComplex(options));
  TRY(complex->topology_.add(0, *complex->host_bridge_));
  TRY(complex->add_disks());
  if (options.firmware_flash) {
    complex->lpc_bridge_ = std::make_unique<LpcBridge>(kAcpiPmBase);
    TRY(complex->topology_.add(LpcBridge::kDevfn, *complex->lpc_bridge_));
    complex->host_bridge_->set_ecam_listener(
        [raw = complex.get()](std::optional<GuestRange> to) { raw->move_ecam(to); });
  }
  TRY(complex->add_ports());
  TRY(complex->place());
  TRY(complex->connect_buses());
  complex->describe();
  return complex;
}

Status PciComplex::add_disks() {
  disks_ = TRY(Disks::create({.files = options_.disks,
                              .memory = options_.memory,
                              .mmio = options_.mmio,
                              .doorbells = options_.doorbells,
                              .msi = options_.msi,
                              .pins = options_.pins,
                              .bar_space = bar_space_}));
  return disks_->add_to(topology_);
}

/// One root port for each port number in use; port 0 is always there.
Status PciComplex::add_ports() {
  std::vector<std::uint8_t> numbers = {0};
  for (const auto& function : options_.devices.functions()) {
    numbers.push_back(function.port);
  }
  std::sort(numbers.begin(), numbers.end());
  numbers.erase(std::unique(numbers.begin(), numbers.end()), numbers.end());
  for (const std::uint8_t number : numbers) {
    Port port;
    port.number = number;
    TRY_CONTEXT(add_functions(port), fmt::format("Root port {}", number));
    TRY_CONTEXT(add_reset(port), fmt::format("Root port {}", number));
    TRY(topology_.add_root_port(*port.bridge));
    ports_.push_back(std::move(port));
  }
  return {};
}

Result<std::unique_ptr<PassthroughFunction>> PciComplex::make_function(std::size_t index,
                                                                       const RootPortConfig& port,
                                                                       bool multi_function,
                                                                       FunctionReset& reset) {
  const HostFunction& function = options_.devices.functions().at(index);
  auto& device = options_.devices.device(index);
  return PassthroughFunction::create(
      {.device = device,
       .name = function.name(),
       .multi_function = multi_function,
       .intx_pin = intx_gsi_behind(port.device, 0, interrupt_pin_of(device)),
       .slots = options_.slots,
       .mmio = options_.mmio,
       .ports = options_.ports,
       .msi_controller = options_.msi,
       .interrupt_pins = options_.pins,
       .bar_space = bar_space_,
       .rom = function.settings.rom,
       .identity = function.settings.identity,
       .gpudirect_clique = function.settings.gpudirect_clique,
       .coherent = function.settings.coherent,
       .quirks = function.settings.quirks,
       .msix_relocation = function.settings.msix_relocation,
       .before_bus_master = options_.before_bus_master,
       .hide_function_reset = reset.is_hidden(),
       .after_reset = [&reset](
                          const GuestReset& what,
                          std::chrono::milliseconds so_far) { return reset.after(what, so_far); },
       .doorbells = &options_.doorbells,
       .peers = function.settings.p2p ? options_.devices.peer_host() : nullptr,
       .link = port.link});
}

Status PciComplex::add_functions(Port& port) {
  const auto& functions = options_.devices.functions();
  const auto behind = [&port](const HostFunction& function) {
    return function.port == port.number;
  };
  const auto count = std::count_if(functions.begin(), functions.end(), behind);
  RootPortConfig config;
  config.name = fmt::format("port-{}", port.number);
  config.device = static_cast<std::uint8_t>(port.number + 1);
  config.slot = static_cast<std::uint16_t>(port.number + 1);
  for (std::size_t i = 0; i < functions.size(); ++i) {
    if (behind(functions[i]) && functions[i].function == 0) {
      config.link = probe_link(options_.devices.device(i));
      config.max_payload_code = probe_max_payload(options_.devices.device(i));
      config.proximity_domain = options_.numa.node_of(functions[i]);
    }
  }
  for (std::size_t i = 0; i < functions.size(); ++i) {
    if (!behind(functions[i])) {
      continue;
    }
    auto reset = TRY(FunctionReset::create(options_.devices, i, options_.on_guest_reset));
    const bool multi_function = functions[i].function == 0 && count > 1;
    auto function =
        TRY_CONTEXT(make_function(i, config, multi_function, *reset), functions[i].name());
    port.functions.emplace_back(functions[i].function, std::move(function));
    port.function_resets.emplace_back(functions[i].function, std::move(reset));
  }
  port.bridge = TRY(RootPort::create(config));
  for (auto& [number, function] : port.functions) {
    TRY(port.bridge->attach(number, *function));
  }
  return add_acpi_roms(port);
}

Status PciComplex::add_acpi_roms(Port& port) {
  const auto& functions = options_.devices.functions();
  for (auto& [number, function] : port.functions) {
    const auto found =
        std::find_if(functions.begin(), functions.end(),
                     [&name = function](const auto& each) { return each.name() == name->name(); });
    TRY(acpi_roms_.add(found->settings.acpi_rom, *port.bridge, number, *function));
  }
  return {};
}

/// A guest's reset of the bus behind the port becomes one of the devices.
Status PciComplex::add_reset(Port& port) {
  std::vector<PhysicalDevice*> devices;
  for (std::size_t i = 0; i < options_.devices.functions().size(); ++i) {
    if (options_.devices.functions()[i].port == port.number) {
      devices.push_back(&options_.devices.device(i));
    }
  }
  if (devices.empty()) {
    return {};
  }
  std::vector<PassthroughFunction*> functions;
  for (const auto& [number, function] : port.functions) {
    functions.push_back(function.get());
  }
  ResetBook& book = options_.devices.reset_book();
  port.reset =
      std::make_unique<PortReset>(PortReset::Options{.name = std::string(port.bridge->name()),
                                                     .book = book,
                                                     .plan = TRY(book.plan(devices)),
                                                     .functions = std::move(functions),
                                                     .clock = ResetClock::real(),
                                                     .on_reset = options_.on_guest_reset});
  port.bridge->set_listener(port.reset.get());
  return {};
}

Status PciComplex::place() {
  TRY(place_memory());
  std::vector<PortRequest> requests;
  for (auto& port : ports_) {
    PortRequest request;
    request.name = fmt::format("root port {}", port.number);
    for (auto& [number, function] : port.functions) {
      append_requests(function->bars(), std::string(function->name()), request.bars);
    }
    requests.push_back(std::move(request));
  }
  requests.push_back(disks_->request());
  memory64_wanted_ = gpuvm::memory64_wanted(requests);
  const auto plan = TRY(
      plan_pci(free_above_memory(options_.memory, device_memory_, options_.physical_address_bits),
               requests));
  aperture64_ = plan.aperture64;
  const auto& placements = plan.placements;
  TRY(disks_->place(placements.back()));
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    std::size_t next = 0;
    for (auto& [number, function] : ports_[i].functions) {
      std::vector<BarRequest> bars;
      append_requests(function->bars(), std::string(function->name()), bars);
      for (const auto& bar : bars) {
        TRY(function->bars().set_power_on_address(bar.bar, placements[i].addresses.at(next++)));
      }
    }
    const auto bus = static_cast<std::uint8_t>(i + 1);
    TRY(ports_[i].bridge->set_power_on_setup({.secondary = bus,
                                              .subordinate = bus,
                                              .io = placements[i].io,
                                              .memory = placements[i].memory,
                                              .prefetchable = placements[i].prefetchable}));
  }
  return {};
}

Status PciComplex::connect_buses() {
  TRY(options_.mmio.add({*GuestRange::create(layout::kEcamBase, ecam_.size()), &ecam_}));
  if (!options_.config_ports) {
    return options_.ports.add({*PortRange::create(kResetPort, 1), &options_.reset_port});
  }
  return options_.ports.add(
      {*PortRange::create(IoPort(ConfigPorts::kPort), ConfigPorts::kPortCount), &config_ports_});
}

std::optional<GuestRange> PciComplex::ecam() const {
  const std::lock_guard lock(ecam_mutex_);
  return ecam_at_;
}

/// The guest's firmware wrote PCIEXBAR, or it got its power-on value back.
void PciComplex::move_ecam(std::optional<GuestRange> to) {
  const std::lock_guard lock(ecam_mutex_);
  std::vector<GuestAddress> old;
  if (ecam_at_) {
    old.push_back(ecam_at_->base());
  }
  std::vector<IoMapping<GuestAddress>> mappings;
  if (to) {
    const auto range = *GuestRange::create(to->base(), std::min(ecam_.size(), to->size()));
    mappings.push_back({range, &ecam_});
  }
  if (const auto moved = options_.mmio.replace(old, mappings); !moved) {
    if (ecam_limit_.allow()) {
      log::warn("The guest cannot have its PCI configuration space at {:#x}: {}",
                to->base().value(), moved.error().to_string());
    }
    return;
  }
  ecam_at_ = to;
  bar_space_.set_forbidden(kEcamName, to);
}

std::vector<FirmwareFunction> PciComplex::firmware_functions() {
  std::vector<FirmwareFunction> functions;
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    for (auto& [number, function] : ports_[i].functions) {
      auto described = describe_function(*function, function->bars(), function->rom_image());
      described.tree.port_devfn = ports_[i].bridge->devfn();
      described.tree.bus = static_cast<std::uint8_t>(i + 1);
      described.tree.devfn = number;
      log::debug("{}: option ROM for the kernel: {} of {} bytes", function->name(),
                 described.rom.size(), function->rom_image().size());
      functions.push_back(std::move(described));
    }
  }
  return functions;
}

std::vector<const AcpiSource*> PciComplex::acpi_sources() const {
  std::vector<const AcpiSource*> sources = {acpi_.get()};
  for (const auto& port : ports_) {
    sources.push_back(port.bridge.get());
  }
  return sources;
}

Status PciComplex::start() {
  for (auto& port : ports_) {
    for (auto& [number, function] : port.functions) {
      TRY_CONTEXT(function->start(), std::string(function->name()));
    }
  }
  return {};
}

void PciComplex::quiesce() {
  disks_->quiesce();
  for (auto& port : ports_) {
    for (auto& [number, function] : port.functions) {
      function->quiesce();
    }
  }
}

Status PciComplex::reset() {
  host_bridge_->reset();
  disks_->reset();
  if (lpc_bridge_) {
    lpc_bridge_->reset();
  }
  config_ports_.reset();
  for (auto& port : ports_) {
    port.bridge->reset();
    for (auto& [number, function] : port.functions) {
      TRY_CONTEXT(function->reset(), std::string(function->name()));
    }
  }
  return {};
}

void PciComplex::inspect(InspectNode& node) const {
  ecam_.inspect(node.child("ecam"));
  config_ports_.inspect(node.child("config_ports"));
  bar_space_.inspect(node.child("bars"));
  disks_->inspect(node.child("disks"));
  for (const auto& port : ports_) {
    auto& child = node.child(port.bridge->name());
    port.bridge->inspect(child);
    if (port.reset) {
      port.reset->inspect(child.child("bus_reset"));
    }
    for (const auto& [number, function] : port.functions) {
      function->inspect(child.child(fmt::format("function_{}", number)));
    }
    for (const auto& [number, reset] : port.function_resets) {
      reset->inspect(child.child(fmt::format("function_{}", number)).child("guest_resets"));
    }
  }
}

}  // namespace gpuvm
