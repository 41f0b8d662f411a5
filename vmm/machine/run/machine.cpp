// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/machine.hpp"

#include <malloc.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "vmm/base/async.hpp"
#include "vmm/base/log.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/machine/preview/start_check.hpp"

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

}  // namespace

Machine::Machine(Options options) : options_(std::move(options)) {}

Machine::~Machine() {
  if (const auto stopped = stop(); !stopped) {
    log::error("{}", stopped.error().to_string());
  }
}

Result<std::unique_ptr<Machine>> Machine::create(Options options) {
  std::unique_ptr<Machine> machine(new Machine(std::move(options)));
  for (const auto step : {&Machine::open_files, &Machine::take_devices, &Machine::add_memory,
                          &Machine::reset_devices_and_add_vm, &Machine::add_devices}) {
    TRY((machine.get()->*step)());
    if (machine->options_.is_unwanted && machine->options_.is_unwanted()) {
      return fail(ErrorKind::kUsage, "The start was broken off");
    }
  }
  return machine;
}

/// First, so that a wrong name or file is told before anything happens to the host. Variables last,
/// because that may make a file.
Status Machine::open_files() {
  const auto& config = options_.config;
  TRY(check_names(host_, config));
  disk_files_ = TRY(open_disks(config.disks));
  switch (config.boot.mode) {
    case BootMode::kLinux:
      kernel_ = TRY(read_kernel(config.boot));
      return check_initrd(config.boot);
    case BootMode::kEfiHandover:
      TRY(check_kernel_files(config.boot));
      efi_variables_ = TRY(VariableFile::open(config.boot.vars.value_or("")));
      return {};
    case BootMode::kUefi:
      uefi_ = TRY(UefiBoot::open(config));
  }
  return {};
}

Status Machine::take_devices() {
  const auto& config = options_.config;
  TRY(check_kvm(host_));
  auto functions = TRY(resolve_functions(host_, config.pci));
  return_orphans(host_, functions);
  auto claims =
      TRY(DeviceClaims::take(host_, addresses_of(pointers_to(functions)),
                             "the guest " + config.name, sockets_of(pointers_to(functions))));
  TRY(require_host(host_, needs_of(config, functions)));
  devices_ = TRY(HostDevices::create(host_, std::move(functions), std::move(claims)));
  reset_ = std::make_unique<DeviceReset>(
      *devices_, [this](ResetReason reason, const ResetCertificate& certificate) {
        if (options_.events != nullptr) {
          options_.events->reset(to_string(reason), certificate);
        }
      });
  log::debug("{} functions are open", devices_->functions().size());
  return {};
}

Status Machine::add_memory() {
  GuestMemoryOptions memory;
  memory.size = options_.config.machine.memory;
  memory.low_limit = layout::kLowRamLimit;
  memory.huge_pages = options_.config.machine.huge_pages;
  memory.prefault_threads = std::clamp(std::thread::hardware_concurrency(), 1U, 16U);
  const auto functions = devices_->host_functions();
  memory.is_shared = std::any_of(functions.begin(), functions.end(),
                                 [](const auto* function) { return function->is_remote(); });
  memory_ = std::make_unique<GuestMemory>(TRY(GuestMemory::create(memory)));
  // Before the devices are reset; whether the CPUs address it is known later.
  TRY(place_device_memory(*memory_, TRY(device_memory_of(host_, functions)), 64));
  numa_ = TRY(NumaPlan::create(host_, options_.config, functions, *memory_));
  TRY(numa_->bind(*memory_));
  if (memory.huge_pages != HugePages::kOff) {
    TRY(memory_->prefault());  // reserved pages may be fewer than promised: find out before the
                               // guest runs
  }
  return {};
}

/// A reset is waiting more than work: the VM is made meanwhile.
Status Machine::reset_devices_and_add_vm() {
  auto reset = start_async(std::launch::async, [this] { return reset_->run(ResetReason::kStart); });
  auto vm = add_vm();
  TRY(reset.get());
  TRY(std::move(vm));
  if (!devices_->empty()) {
    preparation_ = std::make_unique<MemoryPreparation>(*memory_, *devices_, options_.on_failure);
    TRY(preparation_->start());
  }
  return {};
}

/// NVIDIA's drivers look for the capability only where they see a hypervisor.
void warn_of_hidden_hypervisor(const Config& config) {
  const bool cliques = std::any_of(config.pci.begin(), config.pci.end(), [](const PciConfig& pci) {
    return pci.gpudirect_clique.has_value();
  });
  const bool shows_hyperv = !config.cpu.hyperv.empty() && config.cpu.hyperv_vendor_id.empty();
  if (config.cpu.hide_hypervisor && !shows_hyperv && cliques) {
    log::warn(
        "pci.gpudirect_clique has no effect: cpu.hide_hypervisor hides from NVIDIA's drivers "
        "that they may look for it");
  }
}

Status Machine::add_vm() {
  kvm_ = std::make_unique<KvmSystem>(TRY(KvmSystem::open()));
  KvmVmOptions vm;
  vm.cpus = numa_->cpus();
  vm.cpuid = TRY(kvm_->supported_cpuid());
  TRY(hide_features(vm.cpuid, options_.config.cpu.hide));
  TRY(show_hypervisor(vm.cpuid, {.hidden = options_.config.cpu.hide_hypervisor,
                                 .hyperv_vendor_id = options_.config.cpu.hyperv_vendor_id,
                                 .hyperv = options_.config.cpu.hyperv}));
  if (const auto offered = TRY(kvm_->supported_hyperv()); !offered.empty()) {
    TRY(check_hyperv(vm.cpuid, offered));
  }
  warn_of_hidden_hypervisor(options_.config);
  vm.vfio_group_fds = devices_->group_fds();
  address_bits_ = physical_address_bits(vm.cpuid);
  vm_ = TRY(KvmVm::create(*kvm_, std::move(vm)));
  for (const auto& region : memory_->regions()) {
    TRY_CONTEXT(vm_->slots().map(region.range.base(), region.host, SlotAccess::kReadWrite),
                "Guest memory");
  }
  return {};
}

Status Machine::add_devices() {
  platform_ = TRY(Platform::create({.requests = options_.requests,
                                    .sink = options_.console,
                                    .pins = vm_->interrupts(),
                                    .memory = *memory_,
                                    .s5_type = uefi_ ? kOvmfS5SleepType : kS5SleepType,
                                    .battery = options_.config.machine.battery},
                                   ports_));
  if (options_.config.boot.mode == BootMode::kEfiHandover) {
    efi_ = std::make_unique<EfiBoot>(options_.config, *memory_, options_.on_failure,
                                     std::move(efi_variables_));
    TRY(ports_.add({*PortRange::create(EfiBoot::kPort, EfiBoot::kPortCount), efi_.get()}));
  }
  pci_ = TRY(
      PciComplex::create({.devices = *devices_,
                          .numa = *numa_,
                          .disks = disk_files_,
                          .memory = *memory_,
                          .physical_address_bits = address_bits_,
                          .config_ports = has_config_ports(options_.config),
                          .before_bus_master = [this] { return preparation_->wait(); },
                          .reset_port = platform_->reset_port(),
                          .firmware_flash = uefi_ ? std::optional(uefi_->flash()) : std::nullopt,
                          .bus = {.slots = vm_->slots(),
                                  .mmio = mmio_,
                                  .ports = ports_,
                                  .msi = vm_->interrupts(),
                                  .pins = vm_->interrupts(),
                                  .doorbells = vm_->doorbells()},
                          .on_guest_reset =
                              [this](std::string_view reason, const ResetCertificate& certificate) {
                                if (options_.events != nullptr && guest_resets_.allow()) {
                                  options_.events->reset(reason, certificate);
                                }
                              }}));
  TRY(add_uefi());
  threads_ = std::make_unique<VcpuThreads>(ports_, mmio_, options_.on_vcpu_event,
                                           options_.config.machine.pin);
  return {};
}

Status Machine::add_uefi() {
  if (!uefi_) {
    return {};
  }
  TRY(uefi_->connect({.requests = options_.requests,
                      .memory = *memory_,
                      .slots = vm_->slots(),
                      .mmio = mmio_,
                      .ports = ports_}));
  return uefi_->describe({.smbios = TRY(smbios_parts(options_.config, *memory_, numa_->cpus())),
                          .memory64_wanted = pci_->memory64_wanted(),
                          .acpi = [this]() -> Result<AcpiBlobs> {
                            pci_->describe();
                            return acpi_blobs(options_.config, tables());
                          }});
}

Holdings Machine::holdings() const {
  const auto heap = ::mallinfo2();
  return {.memory_slots = vm_ ? vm_->slots().count() : 0,
          .heap_bytes = heap.uordblks + heap.hblkhd};
}

Status Machine::enter(LifecycleState next) {
  const auto before = lifecycle_.state();
  if (!lifecycle_.enter(next)) {
    return fail(ErrorKind::kInternal, "A machine that is {} cannot become {}", to_string(before),
                to_string(next));
  }
  log::debug("Machine: {} -> {}", to_string(before), to_string(next));
  if (options_.events != nullptr) {
    options_.events->state(to_string(before), to_string(next), holdings());
  }
  return {};
}

/// Passes a failure on, after the lifecycle has noted it.
Status Machine::fail_with(Status status) {
  if (!status) {
    TRY(enter(LifecycleState::kFailed));
  }
  return status;
}

GuestTables Machine::tables() {
  GuestTables tables;
  tables.cpus = numa_->cpus();
  tables.acpi_sources = pci_->acpi_sources();
  tables.acpi_roms = pci_->acpi_roms();
  tables.device_memory = pci_->device_memory();
  tables.numa = numa_->describe(tables.device_memory, pci_->initiators());
  tables.buses = pci_->buses();
  const auto platform = platform_->acpi_sources();
  tables.acpi_sources.insert(tables.acpi_sources.end(), platform.begin(), platform.end());
  tables.pci = pci_->tree();
  if (const auto ecam = pci_->ecam()) {
    tables.ecam = ecam->base();
  }
  return tables;
}

Status Machine::load_guest_memory() {
  auto contents = tables();
  contents.functions = pci_->firmware_functions();
  if (!kernel_ && options_.config.boot.mode == BootMode::kLinux) {
    kernel_ = TRY(read_kernel(options_.config.boot));
  }
  const auto entry = TRY(
      load_guest(options_.config, *memory_, contents, kernel_ ? &*kernel_ : nullptr, efi_.get()));
  kernel_.reset();  // after a reboot the guest gets what the file is then
  return vm_->vcpus().front()->set_entry_state(entry);
}

Status Machine::load_and_start() {
  if (!uefi_) {  // otherwise the first vCPU starts as KVM made it: at the reset vector
    TRY(load_guest_memory());
  }
  devices_are_used_ = true;
  TRY(pci_->start());
  TRY(enter(LifecycleState::kRunning));
  return threads_->start(vm_->vcpus());
}

Status Machine::power_on() {
  TRY(enter(LifecycleState::kResetting));
  return fail_with(load_and_start());
}

void Machine::stop_vcpus() {
  if (threads_) {
    threads_->stop();
  }
}

Status Machine::reboot(const std::function<bool()>& is_unwanted) {
  TRY(enter(LifecycleState::kRebooting));
  stop_vcpus();
  ++reboots_;
  if (preparation_ && !preparation_->wait()) {
    return fail_with(fail(ErrorKind::kHost, "Guest memory is not mapped for the devices"));
  }
  pci_->quiesce();
  TRY(fail_with(reset_->run(ResetReason::kReboot)));
  devices_are_used_ = false;
  if (is_unwanted()) {
    return {};
  }
  TRY(fail_with(vm_->rebuild()));
  platform_->reset();
  if (uefi_) {
    uefi_->reset();
  }
  TRY(fail_with(pci_->reset()));
  return fail_with(load_and_start());
}

Status Machine::stop() {
  if (std::exchange(is_stopped_, true)) {
    return {};
  }
  stop_vcpus();
  if (preparation_) {
    preparation_->break_off();
  }
  if (pci_) {
    pci_->quiesce();
  }
  const bool was_failed = lifecycle_.state() == LifecycleState::kFailed;
  if (!was_failed) {
    TRY(enter(LifecycleState::kStopping));
  }
  auto outcome = !reset_             ? Status()
                 : devices_are_used_ ? reset_->run(ResetReason::kStop)
                                     : reset_->release();
  if (!was_failed) {
    TRY(enter(LifecycleState::kStopped));
  }
  return outcome;
}

void Machine::inspect(InspectNode& node) const {
  node.field("name", options_.config.name);
  node.field("state", to_string(lifecycle_.state()));
  node.field("reboots", reboots_);
  if (vm_) {
    vm_->inspect(node.child("kvm"));
  }
  ports_.inspect(node.child("ports"));
  mmio_.inspect(node.child("mmio"));
  if (platform_) {
    platform_->inspect(node.child("platform"));
  }
  if (efi_) {
    efi_->inspect(node.child("efi"));
  }
  if (uefi_) {
    uefi_->inspect(node.child("uefi"));
  }
  if (devices_) {
    devices_->inspect(node.child("host_devices"));
  }
  if (reset_) {
    reset_->inspect(node.child("reset"));
  }
  if (pci_) {
    pci_->inspect(node.child("pci"));
  }
}

}  // namespace gpuvm
