// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/pci_complex.hpp"

#include <algorithm>
#include <iterator>

#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/reset_port.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/machine/pci/port_facts.hpp"
#include "vmm/memory/kvm_pages.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kEcamName = "ECAM";

std::vector<BarSpace::Forbidden> forbidden_ranges(const GuestMemory& memory,
                                                  const std::optional<GuestRange>& flash) {
  std::vector<BarSpace::Forbidden> ranges = {
      {*GuestRange::create(layout::kEcamBase, layout::kEcamSize), std::string(kEcamName)},
      {*GuestRange::create(layout::kIoApicBase, kPageSize), "I/O APIC"},
      {*GuestRange::create(layout::kLocalApicBase, 1_MiB), "local APIC"},
      {*GuestRange::create(kKvmPagesBase, kKvmPagesSize), "KVM's pages"},
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

}  // namespace

PciComplex::Shown::~Shown() {
  hide();
}

void PciComplex::Shown::hide() {
  for (auto* function : std::exchange(functions_, {})) {
    function->hide();
  }
}

PciComplex::PciComplex(const Options& options, const std::vector<PlannedPort>& ports)
    : options_(options),
      buses_(bus_count(ports)),
      node_(options.numa.bridge_node()),
      aperture64_(placeholder()),
      bar_space_(forbidden_ranges(options.memory, options.firmware_flash)),
      ecam_at_(*GuestRange::create(layout::kEcamBase, layout::kEcamSize)),
      host_bridge_(HostBridge::create(*GuestRange::create(layout::kEcamBase, layout::kEcamSize))),
      ecam_(topology_, buses_),
      config_ports_(topology_, &options.reset_port) {}

Result<std::unique_ptr<PciComplex>> PciComplex::create(const Options& options) {
  const auto ports = plan_ports(options.devices.host_functions(), options.free_ports);
  std::unique_ptr<PciComplex> complex(new PciComplex(options, ports));
  TRY(complex->topology_.add(0, *complex->host_bridge_));
  TRY(complex->add_root_bus_devices());
  if (options.firmware_flash) {
    complex->lpc_bridge_ = std::make_unique<LpcBridge>(kAcpiPmBase);
    TRY(complex->topology_.add(LpcBridge::kDevfn, *complex->lpc_bridge_));
    complex->host_bridge_->set_ecam_listener([raw = complex.get()] { raw->follow_ecam(); });
  }
  for (const auto& port : ports) {
    TRY_CONTEXT(complex->add_port(port), fmt::format("Root port {}", port.number));
  }
  TRY(complex->place());
  TRY(complex->connect_buses());
  return complex;
}

/// What gpuvm emulates on bus 0: another device is another line here.
Status PciComplex::add_root_bus_devices() {
  auto devices = disk_devices(options_.disks);
  auto networks = network_devices(options_.networks, options_.on_network_lost);
  std::move(networks.begin(), networks.end(), std::back_inserter(devices));
  std::move(options_.services.begin(), options_.services.end(), std::back_inserter(devices));
  if (options_.first_boot != nullptr) {
    devices.push_back(first_boot_device(*options_.first_boot));
  }
  root_bus_ = TRY(RootBusDevices::create(std::move(devices), {.memory = options_.memory,
                                                              .mmio = options_.bus.mmio,
                                                              .doorbells = options_.bus.doorbells,
                                                              .msi = options_.bus.msi,
                                                              .pins = options_.bus.pins,
                                                              .bar_space = bar_space_}));
  return root_bus_->add_to(topology_);
}

Status PciComplex::add_port(const PlannedPort& plan) {
  Port port;
  port.plan = plan;
  TRY(add_functions(port));
  port.reset = TRY(make_reset(port, port.functions, options_.devices));
  if (port.reset) {
    TRY(port.bridge->set_listener(port.reset.get()));
  }
  TRY(topology_.add_root_port(*port.bridge));
  ports_.push_back(std::move(port));
  return {};
}

/// The link of the port is that of the function which the guest finds first.
RootPortConfig PciComplex::port_config(const PlannedPort& plan, const HostDevices& devices,
                                       std::span<const FunctionFacts> facts) const {
  RootPortConfig config;
  config.name = fmt::format("port-{}", plan.number);
  config.device = plan.device();
  config.function = plan.function();
  config.multi_function = plan.shares_device;
  config.slot = plan.slot();
  const auto functions = devices.functions();
  std::vector<FunctionBehind> behind;
  for (std::size_t i = 0; i < facts.size(); ++i) {
    const auto& host = functions[plan.functions[i]]->host();
    behind.push_back({host, facts[i]});
    if (host.function == 0) {
      config.max_payload_code = facts[i].max_payload_code;
      config.proximity_domain = options_.numa.node_of(host);
    }
  }
  config.link = link_capability_of(behind);
  config.atomic_completer = atomic_completers_of(behind);
  return config;
}

Status PciComplex::add_functions(Port& port) {
  const auto functions = options_.devices.functions();
  std::vector<FunctionFacts> facts;
  for (const auto index : port.plan.functions) {
    auto& owned = *functions[index];
    facts.push_back(TRY_CONTEXT(FunctionFacts::read(owned.device()), owned.name()));
  }
  auto config = port_config(port.plan, options_.devices, facts);
  if (port.plan.is_free) {
    config.hot_plug = hot_plug_config(port.plan.number);
  }
  for (std::size_t i = 0; i < facts.size(); ++i) {
    auto& owned = *functions[port.plan.functions[i]];
    TRY_CONTEXT(show_function(owned, facts[i], {options_.devices, config},
                              port.plan.is_multi_function(owned.host())),
                owned.name());
    port.functions.add(owned);
  }
  port.bridge = TRY(RootPort::create(config));
  for (auto* function : port.functions) {
    TRY(port.bridge->attach(function->host().function, function->guest()));
  }
  for (auto* function : port.functions) {
    TRY(acpi_roms_.add(function->host().view.acpi_rom, *port.bridge, function->host().function,
                       function->guest()));
  }
  return {};
}

Status PciComplex::show_function(OwnedFunction& function, const FunctionFacts& facts,
                                 const Showing& showing, bool multi_function) {
  auto reset = TRY(GuestFunctionReset::create(showing.devices, function, options_.on_guest_reset));
  auto guest = TRY(PassthroughFunction::create(
      {.device = function.device(),
       .name = function.name(),
       .bus = options_.bus,
       .bar_space = bar_space_,
       .intx_pin = intx_gsi_behind(showing.port.device, 0, facts.interrupt_pin),
       .view = function.host().view,
       .place = {.multi_function = multi_function,
                 .link = showing.port.link,
                 .hide_function_reset = reset->is_hidden()},
       .before_bus_master = options_.before_bus_master,
       .after_reset = [raw = reset.get()](
                          const GuestReset& what,
                          std::chrono::milliseconds so_far) { return raw->after(what, so_far); },
       .peer_host = showing.devices.peer_host()},
      facts));
  function.show(std::move(reset), std::move(guest));
  return {};
}

/// A guest's reset of the bus behind the port becomes one of the devices. Each function and each
/// port has a thread for it: a reset that hangs holds up no other.
Result<std::unique_ptr<GuestBusReset>> PciComplex::make_reset(const Port& port, const Shown& shown,
                                                              HostDevices& owners) const {
  std::vector<PhysicalDevice*> devices;
  std::vector<PassthroughFunction*> functions;
  for (auto* function : shown) {
    devices.push_back(&function->device());
    functions.push_back(&function->guest());
  }
  if (devices.empty()) {
    return std::unique_ptr<GuestBusReset>();
  }
  ResetBook& book = owners.reset_book();
  auto reset = std::make_unique<GuestBusReset>(
      GuestBusReset::Options{.name = std::string(port.bridge->name()),
                             .book = book,
                             .plan = TRY(book.plan(devices)),
                             .functions = std::move(functions),
                             .clock = ResetClock::real(),
                             .on_reset = options_.on_guest_reset});
  TRY(reset->start_thread());
  return reset;
}

Status PciComplex::place() {
  TRY(place_memory());
  std::vector<PortRequest> requests;
  for (auto& port : ports_) {
    PortRequest request{.name = port.plan.name()};
    if (port.plan.is_free) {
      request.bars = reservation_of(options_.reserve);
    }
    for (auto* function : port.functions) {
      append_requests(function->guest().bars(), function->name(), request.bars);
    }
    requests.push_back(std::move(request));
  }
  requests.push_back(root_bus_->request());
  memory64_wanted_ = gpuvm::memory64_wanted(requests);
  const auto plan = TRY(
      plan_pci(free_above_memory(options_.memory, device_memory_, options_.physical_address_bits),
               options_.devices.dma_ranges(), requests));
  aperture64_ = plan.aperture64;
  TRY(root_bus_->place(plan.placements.back()));
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    TRY(place_port(ports_[i], plan.placements[i]));
  }
  return {};
}

Status PciComplex::place_port(Port& port, const PortPlacement& placement) {
  std::size_t next = 0;
  for (auto* function : port.functions) {
    TRY(place_set(function->guest().bars(), placement, next));
  }
  if (port.plan.is_free) {
    port.reserved = placement;
  }
  return port.bridge->set_power_on_setup({.secondary = port.plan.bus,
                                          .subordinate = port.plan.bus,
                                          .io = placement.io,
                                          .memory = placement.memory,
                                          .prefetchable = placement.prefetchable});
}

Status PciComplex::connect_buses() {
  TRY(options_.bus.mmio.add({*GuestRange::create(layout::kEcamBase, ecam_.size()), &ecam_}));
  if (!options_.config_ports) {
    return options_.bus.ports.add({*PortRange::create(kResetPort, 1), &options_.reset_port});
  }
  return options_.bus.ports.add(
      {*PortRange::create(IoPort(ConfigPorts::kPort), ConfigPorts::kPortCount), &config_ports_});
}

std::optional<GuestRange> PciComplex::ecam() const {
  const MutexLock lock(ecam_mutex_);
  return ecam_at_;
}

/// The guest's firmware wrote PCIEXBAR, or it got its power-on value back.
void PciComplex::follow_ecam() {
  const MutexLock lock(ecam_mutex_);
  const auto to = host_bridge_->ecam();
  std::vector<GuestAddress> old;
  if (ecam_at_) {
    old.push_back(ecam_at_->base());
  }
  std::vector<IoMapping<GuestAddress>> mappings;
  if (to) {
    const auto range = *GuestRange::create(to->base(), std::min(ecam_.size(), to->size()));
    mappings.push_back({range, &ecam_});
  }
  if (const auto moved = options_.bus.mmio.replace(old, mappings); !moved) {
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
  for (auto& port : ports_) {
    for (auto* owned : port.functions) {
      auto& guest = owned->guest();
      auto described = describe_function(guest, guest.bars(), guest.rom_image());
      described.tree.port_devfn = port.plan.devfn();
      described.tree.bus = port.plan.bus;
      described.tree.devfn = owned->host().function;
      log::debug("{}: option ROM for the kernel: {} of {} bytes", owned->name(),
                 described.rom.size(), guest.rom_image().size());
      functions.push_back(std::move(described));
    }
  }
  return functions;
}

std::vector<const AcpiSource*> PciComplex::acpi_sources() const {
  std::vector<const AcpiSource*> sources;
  for (const auto& port : ports_) {
    sources.push_back(port.bridge.get());
  }
  return sources;
}

Status PciComplex::start() {
  for (auto& port : ports_) {
    for (auto* function : port.functions) {
      TRY_CONTEXT(function->guest().start(), function->name());
    }
  }
  return {};
}

void PciComplex::pause() {
  root_bus_->pause();
}

void PciComplex::resume() {
  root_bus_->resume();
}

void PciComplex::quiesce() {
  root_bus_->quiesce();
  for (auto& port : ports_) {
    port.bridge->quiesce();
    for (auto* function : port.functions) {
      function->guest().quiesce();
    }
  }
}

Status PciComplex::reset() {
  host_bridge_->reset();
  root_bus_->reset();
  if (lpc_bridge_) {
    lpc_bridge_->reset();
  }
  config_ports_.reset();
  for (auto& port : ports_) {
    port.bridge->reset();
    for (auto* function : port.functions) {
      TRY_CONTEXT(function->guest().reset(), function->name());
    }
  }
  return {};
}

void PciComplex::inspect(InspectNode& node) const {
  ecam_.inspect(node.child("ecam"));
  config_ports_.inspect(node.child("config_ports"));
  bar_space_.inspect(node.child("bars"));
  root_bus_->inspect(node.child("root_bus"));
  for (const auto& port : ports_) {
    auto& child = node.child(fmt::format("port_{}", port.plan.number));
    port.bridge->inspect(child);
    if (port.reset) {
      port.reset->inspect(child.child("bus_reset"));
    }
    for (auto* function : port.functions) {
      auto& of_function = child.child(fmt::format("function_{}", function->host().function));
      function->guest().inspect(of_function);
      function->reset().inspect(of_function.child("guest_resets"));
    }
  }
}

}  // namespace gpuvm
