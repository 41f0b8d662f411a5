// SPDX-License-Identifier: Apache-2.0
// Machine: the steps that build it; those that take long, and run beside each other, are in
// machine_memory.cpp. Its life is in machine.cpp.
#include <algorithm>
#include <functional>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/config/remarks.hpp"
#include "vmm/host/descriptor_budget.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/machine/boot/vars_place.hpp"
#include "vmm/machine/preview/start_check.hpp"
#include "vmm/machine/run/machine.hpp"
#include "vmm/machine/services/vsock.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

/// Functions that a gpuvm which is gone has left without their host drivers. Of the dirty ones ours
/// are repaired when we take them, and others are their next user's.
void return_orphans(const HostSystem& host, const std::vector<HostFunction>& ours) {
  for (const auto& [bdf, outcome] : restore_bindings(host)) {
    const bool is_ours = std::any_of(ours.begin(), ours.end(), [&bdf = bdf](const auto& function) {
      return !function.is_remote() && function.host == bdf;
    });
    if (!outcome && outcome.error().kind() == ErrorKind::kUnsafeDevice && is_ours) {
      continue;
    }
    if (outcome) {
      log::info("{} went back to its host driver after a gpuvm that did not end well",
                bdf.to_string());
    } else {
      log::warn("{}", outcome.error().to_string());
    }
  }
}

bool has_config_ports(const Config& config) {
  const bool kernel_knows_ecam =
      config.boot.mode == BootMode::kLinux || config.boot.mode == BootMode::kEfiHandover;
  return config.machine.config_ports == ConfigPortsMode::kOn ||
         (config.machine.config_ports == ConfigPortsMode::kAuto && !kernel_knows_ecam);
}

/// The exit port ends a guest where it stands: what its next instructions would do, a panic, say,
/// must not become part of what it said.
MachineRequests holding_at_exit(MachineRequests requests, std::function<void()> hold) {
  if (requests.exit) {
    requests.exit = [exit = std::move(requests.exit), hold = std::move(hold)](auto status) {
      exit(status);
      hold();
    };
  }
  return requests;
}

DescriptorNeeds descriptor_needs(const Config& config,
                                 const std::vector<PhysicalDevice*>& devices) {
  constexpr std::uint64_t kSmallDevices = 10;  // random numbers, console, vsock, status port
  constexpr std::uint64_t kQueuesOfADisk = 4;
  constexpr std::uint64_t kQueuesOfAShare = 2;
  DescriptorNeeds needs{.cpus = config.machine.cpus,
                        .functions = devices.size(),
                        .vectors = 0,
                        .queues = kSmallDevices + config.shares.size() * kQueuesOfAShare,
                        .helpers = config.shares.size() + config.nets.size()};
  for (const PhysicalDevice* device : devices) {
    needs.vectors += std::max(device->irq(IrqType::kMsix).count, device->irq(IrqType::kMsi).count);
  }
  for (const DiskConfig& disk : config.disks) {
    needs.queues += disk.queues.value_or(kQueuesOfADisk);
    needs.helpers += is_served(disk) ? 1U : 0U;
  }
  for (const NetConfig& net : config.nets) {
    needs.queues += 2 * std::uint64_t{net.queues} + 1;
  }
  return needs;
}

HelperRules helper_rules(const Config& config) {
  return {.is_confined = config.sandbox.mode != SandboxMode::kOff,
          .user = config.sandbox.helper_user};
}

}  // namespace

const HostSystem& Machine::real_host() {
  static const HostSystem host;
  return host;
}

Status Machine::build(const IsUnwanted& is_unwanted) {
  const auto steps = {
      std::function<Status()>([this] { return open_files(); }),
      std::function<Status()>([this] { return take_devices(); }),
      std::function<Status()>([this] { return add_memory(); }),
      std::function<Status()>([&] { return reset_devices_and_add_vm(is_unwanted); }),
      std::function<Status()>([this] { return add_devices(); })};
  for (const auto& step : steps) {
    TRY(step());
    if (is_unwanted()) {
      return fail(ErrorKind::kCancelled, "The start was broken off");
    }
  }
  if (options_.on_devices) {
    TRY(options_.on_devices(devices_->devices()));
  }
  return hand_over();
}

/// inspect() may look at it from now on.
void Machine::show(Part part, const Inspectable* what) {
  const MutexLock lock(structure_);
  shown_.at(static_cast<std::size_t>(part)) = what;
}

/// First, so that a wrong name or file is told before anything happens to the host. Variables last,
/// because that may make a file.
Status Machine::open_files() {
  const auto& config = options_.config;
  TRY(check_names(options_.host, config));
  for (const std::string& remark : files_in_shares(config)) {
    log::warn("{}", remark);
  }
  disks_ = TRY(open_disks(
      config.disks, config.machine.cpus, DiskFile::Use::kGuest,
      [this](const std::string& disk, const Error& error) { lose_disk(disk, error); },
      helper_rules(config)));
  first_boot_ = TRY(open_first_boot(config, SshKeyUse::kMake));
  first_boot_disk_ = TRY(open_first_boot_disk(first_boot_.volume));
  TRY(check_networks(options_.host, config.nets));
  TRY(check_shares(config.shares));
  TRY(check_vars_place(config.boot));
  switch (config.boot.mode) {
    case BootMode::kLinux:
      kernel_ = TRY(read_kernel(config.boot));
      return check_initrd(config.boot);
    case BootMode::kEfiHandover:
      TRY(check_kernel_files(config.boot));
      efi_variables_ = TRY(VariableFile::open(config.boot.vars.value_or(""), {}, [] {
        sandbox::enter(sandbox::ThreadRole::kVariables);
      }));
      variable_file_ = config.boot.vars ? efi_variables_.get() : nullptr;
      return {};
    case BootMode::kUefi:
      uefi_ = TRY(UefiBoot::open(config));
      show(Part::kUefi, uefi_.get());
  }
  return {};
}

/// Helpers and addresses that are the guest's alone.
Status Machine::open_services() {
  const auto& config = options_.config;
  services_.console = options_.virtio_console;
  open_words();
  services_.vsock = TRY(open_vsock(options_.host, config.vsock, config.name));
  if (services_.vsock) {
    log::info("The guest's vsock has the CID {}", services_.vsock->cid());
    options_.events.vsock({.cid = services_.vsock->cid()});
  }
  services_.shares = TRY(open_shares(
      config.shares, helper_rules(config), [this](const std::string& tag, const Error& error) {
        options_.events.share({.tag = tag, .text = error.to_string()});
        options_.on_failure(
            fail(error.kind(), "The shared folder {} is gone: {}", tag, error.to_string()));
      }));
  return {};
}

/// The programs that run for the guest, once they all do.
void Machine::list_helpers() {
  for (std::size_t i = 0; i < disks_.size(); ++i) {
    if (const auto* const layers = disks_[i]->helper_layers()) {
      helpers_.add(fmt::format("disk-{} (qemu-storage-daemon)", i), *layers);
    }
  }
  for (const Network& network : networks_) {
    if (network.passt != nullptr) {
      helpers_.add(network.name + " (passt)", network.passt->layers());
    }
  }
  for (const auto& share : services_.shares) {
    helpers_.add(fmt::format("share {} (virtiofsd)", share->tag()), share->layers());
  }
  show(Part::kHelpers, &helpers_);
}

/// The channels that are open, and the status port's device, where it is wanted.
void Machine::open_words() {
  GuestWords* const words = options_.words;
  if (words == nullptr) {
    return;
  }
  show(Part::kWords, words);
  if (options_.config.test.status_port) {
    services_.status_port = {
        .name = "status-port",
        .port_name = std::string(kStatusPortName),
        .host = {.received = [words](auto bytes) { words->port_received(bytes); },
                 .cut = [words] { words->port_cut(); },
                 .closed = [words] { words->port_closed(); },
                 .begun = [words] { words->port_begun(); }},
        .input = options_.status_input};
  }
}

Status Machine::take_devices() {
  const auto& config = options_.config;
  TRY(check_kvm(options_.host));
  networks_ = TRY(open_networks(options_.host, config.nets, config.name, helper_rules(config)));
  TRY(open_services());
  list_helpers();
  attachable_ =
      TRY(find_attachable(options_.host, config.machine.attachable, config.machine.scrub));
  auto functions = TRY(resolve_functions(options_.host, config.pci));
  return_orphans(options_.host, functions);
  DeviceClaims held;
  if (options_.claims != nullptr) {
    std::swap(held, *options_.claims);
  }
  auto claims = TRY(DeviceClaims::take(options_.host, addresses_of(pointers_to(functions)),
                                       claim_owner(config.name), sockets_of(pointers_to(functions)),
                                       std::move(held)));
  TRY(require_host(options_.host, needs_of(config, functions)));
  devices_ = TRY(HostDevices::create(options_.host, std::move(functions), std::move(claims)));
  TRY(check_descriptors(descriptor_needs(config, devices_->devices()), descriptor_limit()));
  reset_ = std::make_unique<MachineReset>(
      *devices_,
      [this](ResetReason reason, const ResetCertificate& certificate) {
        options_.events.reset(reset_event(to_string(reason), certificate));
      },
      [this](const ScrubProgress& progress) {
        options_.events.scrub({.function = progress.function,
                               .done_bytes = progress.done,
                               .all_bytes = progress.all});
      });
  show(Part::kHostDevices, devices_.get());
  log::debug("{} functions are open", devices_->functions().size());
  return {};
}

Status Machine::add_devices() {
  auto requests = holding_at_exit(options_.requests, [this] { threads_->hold(); });
  platform_ = TRY(Platform::create({.requests = std::move(requests),
                                    .sink = options_.console,
                                    .pins = vm_->pins(),
                                    .memory = *memory_,
                                    .s5_type = uefi_ ? kOvmfS5SleepType : kS5SleepType,
                                    .battery = options_.config.machine.battery,
                                    .exit_port = options_.config.test.exit_port,
                                    .panic_port = options_.config.test.pvpanic,
                                    .generation_id = options_.status_input != nullptr,
                                    .arm_clock = options_.arm_clock},
                                   ports_, mmio_));
  show(Part::kPlatform, platform_.get());
  if (options_.config.boot.mode == BootMode::kEfiHandover) {
    efi_ = std::make_unique<HandoverBoot>(options_.config, *memory_, options_.on_failure,
                                          std::move(efi_variables_));
    TRY(ports_.add(
        {*PortRange::create(HandoverBoot::kPort, HandoverBoot::kPortCount), efi_.get()}));
    show(Part::kEfi, efi_.get());
  }
  pci_ = TRY(PciComplex::create(pci_options()));
  show(Part::kPci, pci_.get());
  add_hot_plug();
  TRY(add_uefi());
  threads_ = std::make_unique<VcpuThreads>(ports_, mmio_, options_.on_vcpu_event,
                                           options_.config.machine.pin);
  return threads_->make(numa_->cpus().cpus());
}

PciComplex::Options Machine::pci_options() {
  return {.devices = *devices_,
          .numa = *numa_,
          .disks = disks_,
          .networks = networks_,
          .services = service_devices(options_.config.machine, services_),
          .first_boot = first_boot_disk_.get(),
          .memory = *memory_,
          .physical_address_bits = vm_->physical_address_bits(),
          .config_ports = has_config_ports(options_.config),
          .before_bus_master = [this] { return !preparation_ || preparation_->wait(); },
          .reset_port = platform_->reset_port(),
          .firmware_flash = uefi_ ? std::optional(uefi_->flash()) : std::nullopt,
          .bus = {.slots = vm_->slots(),
                  .mmio = mmio_,
                  .ports = ports_,
                  .msi = vm_->msi(),
                  .pins = vm_->pins(),
                  .doorbells = vm_->doorbells()},
          .on_guest_reset =
              [this](std::string_view reason, const ResetCertificate& certificate) {
                if (guest_resets_.allow()) {
                  options_.events.reset(reset_event(reason, certificate));
                }
              },
          .on_network_lost =
              [this](const std::string& name, const Error& error) {
                options_.events.network({.network = name, .text = error.to_string()});
              },
          .free_ports = options_.config.machine.free_ports,
          .reserve = options_.config.machine.reserve,
          .on_slot_power = options_.on_slot_power};
}

/// Any thread.
void Machine::lose_disk(const std::string& disk, const Error& error) {
  options_.events.disk({.disk = disk, .text = error.to_string()});
  options_.on_failure(
      fail(error.kind(), "{} is gone, and the guest cannot go on: {}", disk, error.to_string()));
}

Status Machine::add_uefi() {
  if (!uefi_) {
    return {};
  }
  {
    const MutexLock lock(structure_);  // it is shown already
    TRY(uefi_->connect({.requests = options_.requests,
                        .memory = *memory_,
                        .slots = vm_->slots(),
                        .mmio = mmio_,
                        .ports = ports_}));
  }
  return uefi_->describe({.smbios = TRY(smbios_parts(options_.config, *memory_, tables())),
                          .memory64_wanted = pci_->memory64_wanted(),
                          .acpi = [this] { return acpi_blobs(options_.config, tables()); }});
}

}  // namespace gpuvm
