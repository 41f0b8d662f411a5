// SPDX-License-Identifier: Apache-2.0
// Machine: its life. The steps that build it are in machine_build.cpp.
#include "vmm/machine/run/machine.hpp"

#include <malloc.h>

#include <map>
#include <string_view>
#include <utility>

#include "vmm/base/async.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/owner/owner.hpp"

namespace gpuvm {
Machine::Machine(Options options) : options_(std::move(options)) {}

Machine::~Machine() {
  if (const auto stopped = stop(); !stopped) {
    log::error("{}", stopped.error().to_string());
  }
}

Holdings Machine::holdings() const {
  const auto heap = ::mallinfo2();
  return {.memory_slots = vm_ ? vm_->slot_count() : 0, .heap_bytes = heap.uordblks + heap.hblkhd};
}

Status Machine::enter(LifecycleState next) {
  LifecycleState before{};
  {
    const MutexLock lock(state_mutex_);
    before = lifecycle_.state();
    if (!lifecycle_.enter(next)) {
      return fail(ErrorKind::kInternal, "A machine that is {} cannot become {}", to_string(before),
                  to_string(next));
    }
  }
  log::debug("Machine: {} -> {}", to_string(before), to_string(next));
  options_.events.state({.from = before, .to = next, .holdings = holdings()});
  return {};
}

/// Passes a failure on, after the lifecycle has noted it.
Status Machine::fail_with(Status status) {
  if (!status) {
    TRY(enter(LifecycleState::kFailed));
  }
  return status;
}

/// As the machine is now; from a vCPU's thread where firmware asks for ACPI's.
GuestTables Machine::tables() const {
  GuestTables tables;
  tables.cpus = numa_->cpus();
  tables.described = pci_->describe();
  tables.acpi_sources = pci_->acpi_sources();
  tables.acpi_sources.insert(tables.acpi_sources.begin(), tables.described.get());
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
  tables.oem_strings = first_boot_.oem_strings;
  return tables;
}

Status Machine::load_guest_memory() {
  auto contents = tables();
  contents.functions = pci_->firmware_functions();
  contents.open_file = open_boot_file_;
  if (!kernel_ && options_.config.boot.mode == BootMode::kLinux) {
    kernel_ = TRY(read_kernel(options_.config.boot, open_boot_file_));
  }
  const auto entry = TRY(
      load_guest(options_.config, *memory_, contents, kernel_ ? &*kernel_ : nullptr, efi_.get()));
  kernel_.reset();
  return vm_->vcpus().front()->set_entry_state(entry);
}

/// Where it takes longer than a vCPU may be held later.
Status Machine::wait_for_memory(const IsUnwanted& is_unwanted) {
  const auto& machine = options_.config.machine;
  if (!preparation_ || !is_prepared_before_start(machine.memory, machine.pin_memory)) {
    return {};
  }
  if (reboots_ == 0) {
    log::info("The guest starts when its {} MiB of memory are pinned for the devices",
              machine.memory >> 20);
  }
  if (preparation_->wait()) {
    return {};
  }
  if (is_unwanted()) {
    return fail(ErrorKind::kCancelled, "The guest's start was broken off");
  }
  return fail(ErrorKind::kHost, "Guest memory is not mapped for the devices");
}

Status Machine::load_and_start(const IsUnwanted& is_unwanted) {
  if (!uefi_) {  // otherwise the first vCPU starts as KVM made it: at the reset vector
    TRY(load_guest_memory());
  }
  if (is_unwanted()) {
    return fail(ErrorKind::kCancelled, "The guest's start was broken off");
  }
  TRY(wait_for_memory(is_unwanted));
  devices_are_used_ = true;
  TRY(pci_->start());
  TRY(enter(LifecycleState::kRunning));
  return threads_->start(vm_->vcpus());
}

/// Once, when all is built and no guest code has run: from then on this process is not believed.
Status Machine::hand_over() {
  if (options_.owner == nullptr) {
    return {};
  }
  Owner& owner = *options_.owner;
  TRY(devices_->hand_over(owner));
  if (variable_file_ != nullptr) {
    const auto file = TRY(owner.declare_file(*options_.config.boot.vars, FileUse::kReplace));
    variable_file_->replace_by(
        [&owner, file](auto contents) { return owner.replace_file(file, contents); });
  }
  TRY(declare_boot_files(owner));
  return owner.guest_runs();
}

/// What each start of the guest reads anew; the firmware of a UEFI image asks for files that are
/// open.
Status Machine::declare_boot_files(Owner& owner) {
  const auto& boot = options_.config.boot;
  std::map<std::string, std::uint32_t> files;
  if (boot.mode != BootMode::kUefi) {
    for (const std::string& path : {boot.kernel, boot.initrd.value_or("")}) {
      if (!path.empty()) {
        files.emplace(path, TRY(owner.declare_file(path, FileUse::kRead)));
      }
    }
  }
  open_boot_file_ = [&owner,
                     files = std::move(files)](const std::string& path) -> Result<UniqueFd> {
    const auto file = files.find(path);
    if (file == files.end()) {
      return fail(ErrorKind::kInternal, "{} was not declared to the owner", path);
    }
    return owner.open_file(file->second);
  };
  return {};
}

Status Machine::power_on(const IsUnwanted& is_unwanted) {
  TRY(enter(LifecycleState::kResetting));
  auto started = load_and_start(is_unwanted);
  const bool is_cancelled = !started && started.error().kind() == ErrorKind::kCancelled;
  return is_cancelled ? started : fail_with(std::move(started));
}

void Machine::stop_vcpus() {
  if (threads_) {
    threads_->stop();
  }
}

/// Real devices: takes as long as it takes, and inspect() goes without meanwhile.
Status Machine::run_reset(ResetReason reason) {
  show(Part::kReset, nullptr);
  const auto outcome = reset_->run(reason);
  show(Part::kReset, reset_.get());
  return outcome;
}

/// At the start only: no guest has them yet, so they can be closed.
Status Machine::recover_devices(Status failure) {
  show(Part::kReset, nullptr);
  auto outcome = reset_->recover(ResetReason::kStart, std::move(failure));
  show(Part::kReset, reset_.get());
  return outcome;
}

/// Everything but the real devices and memory, as at power-on.
Status Machine::reset_emulation() {
  const MutexLock lock(structure_);
  TRY(vm_->rebuild());
  platform_->reset();
  if (uefi_) {
    uefi_->reset();
  }
  return pci_->reset();
}

Status Machine::reboot(const IsUnwanted& is_unwanted) {
  TRY(enter(LifecycleState::kRebooting));
  stop_vcpus();
  ++reboots_;
  // What is broken off leaves memory that is not mapped, for a guest that will not be started.
  if (preparation_ && !preparation_->wait() && !is_unwanted()) {
    return fail_with(fail(ErrorKind::kHost, "Guest memory is not mapped for the devices"));
  }
  pci_->quiesce();
  auto prepared = start_async(std::launch::async, [this] { return prepare_kernel(); });
  Status reset = run_reset(ResetReason::kReboot);
  if (reset) {
    reset = hot_plug_->reset(ResetReason::kReboot);
  }
  Status has_kernel = prepared.get();
  TRY(fail_with(std::move(reset)));
  devices_are_used_ = false;
  if (is_unwanted()) {
    return {};
  }
  TRY(fail_with(reset_emulation()));
  TRY(fail_with(std::move(has_kernel)));
  auto started = load_and_start(is_unwanted);
  if (!started && started.error().kind() == ErrorKind::kCancelled) {
    return {};
  }
  return fail_with(std::move(started));
}

Status Machine::pause() {
  if (state() != LifecycleState::kRunning) {
    return fail(ErrorKind::kWrongState, "A machine that is {} cannot pause", to_string(state()));
  }
  threads_->pause();
  pci_->pause();
  return enter(LifecycleState::kPaused);
}

Status Machine::resume() {
  if (state() != LifecycleState::kPaused) {
    return fail(ErrorKind::kWrongState, "A machine that is {} cannot go on", to_string(state()));
  }
  TRY(enter(LifecycleState::kRunning));
  pci_->resume();
  threads_->resume();
  return {};
}

DevicesReset Machine::reset_event(std::string_view reason, const ResetCertificate& certificate) {
  return {.reason = std::string(reason),
          .functions = certificate.functions,
          .method = std::string(to_string(certificate.method)),
          .verdict = std::string(to_string(certificate.verdict)),
          .duration_ms = static_cast<std::uint64_t>(certificate.duration.count()),
          .text = certificate.text,
          .bars = certificate.is_safe() ? certificate.bars.to_text() : "",
          .scrub = certificate.scrub};
}

void Machine::add_hot_plug() {
  hot_plug_ = std::make_unique<HotPlug>(HotPlugMachine{
      .host = options_.host,
      .owner = claim_owner(options_.config.name),
      .memory = *memory_,
      .memory_is_shared = memory_is_shared_,
      .pci = *pci_,
      .prepare_memory =
          [this](const IsUnwanted& is_unwanted) { return prepare_memory_for_card(is_unwanted); },
      .hold_group = [this](int group) { return vm_->hold_group(group); },
      .release_group = [this](int group) { vm_->release_group(group); },
      .exclusively =
          [this](const auto& change) {
            const MutexLock lock(structure_);
            change();
          },
      .on_reset =
          [this](ResetReason reason, const ResetCertificate& certificate) {
            options_.events.reset(reset_event(to_string(reason), certificate));
          },
      .on_scrub =
          [this](const ScrubProgress& progress) {
            options_.events.scrub({.function = progress.function,
                                   .done_bytes = progress.done,
                                   .all_bytes = progress.all});
          },
      .on_step = [this](const HotPlugStep& step) { tell_of_card(step); },
      .lender = options_.owner,
      .is_confined = options_.config.sandbox.mode != SandboxMode::kOff,
      .attachable = std::move(attachable_),
      .scrub = options_.config.machine.scrub});
  show(Part::kHotPlug, hot_plug_.get());
}

Status Machine::attach(const std::string& device, const IsUnwanted& is_unwanted) {
  TRY(hot_plug_->attach(device, is_unwanted));
  const auto card = TRY(hot_plug_->card(device));
  if (const auto watched = options_.on_card ? options_.on_card(card.name, card.devices) : Status();
      !watched) {
    log::warn("{}: Nobody will hear of its errors: {}", card.name, watched.error().to_string());
  }
  return {};
}

std::string Machine::card_name(const std::string& function) const {
  const auto card = hot_plug_->card(function);
  return card ? card->name : std::string();
}

Result<GuestMachine::AskedSlot> Machine::ask_for(const std::string& device) {
  auto asked = TRY(hot_plug_->ask_for(device));
  return AskedSlot{
      .port = asked.port, .is_released = asked.is_released, .card = std::move(asked.card)};
}

Status Machine::take_out(const std::string& device) {
  return hot_plug_->take_out(device);
}

void Machine::tell_of_card(const HotPlugStep& step) const {
  log::info("{} at root port {}: {}{}{}", step.card, step.port, step.step,
            step.text.empty() ? "" : ": ", step.text);
  options_.events.card(
      {.card = step.card, .port = step.port, .step = std::string(step.step), .text = step.text});
}

void Machine::break_off() {
  const MutexLock lock(state_mutex_);
  if (to_break_off_ != nullptr) {
    to_break_off_->break_off();
  }
}

/// vCPUs may wait for memory, which is not needed any more: that is broken off first.
Status Machine::stop() {
  if (std::exchange(is_stopped_, true)) {
    return {};
  }
  break_off();
  stop_vcpus();
  if (preparation_) {
    preparation_->wait_for_end();
  }
  if (pci_) {
    pci_->quiesce();
  }
  const bool was_failed = state() == LifecycleState::kFailed;
  if (!was_failed) {
    TRY(enter(LifecycleState::kStopping));
  }
  WorstError errors;
  errors.add(!reset_             ? Status()
             : devices_are_used_ ? run_reset(ResetReason::kStop)
                                 : reset_->release());
  errors.add(hot_plug_ ? hot_plug_->reset(ResetReason::kStop) : Status());
  Status outcome = errors.take();
  if (!was_failed) {
    TRY(enter(LifecycleState::kStopped));
  }
  return outcome;
}

LifecycleState Machine::state() const {
  const MutexLock lock(state_mutex_);
  return lifecycle_.state();
}

void Machine::inspect(InspectNode& node) const {
  constexpr std::array<std::string_view, static_cast<std::size_t>(Part::kCount)> kNames = {
      "kvm",   "platform", "efi",      "uefi",  "host_devices",
      "reset", "pci",      "hot_plug", "words", "helpers"};
  node.field("name", options_.config.name);
  node.field("state", to_string(state()));
  node.field("reboots", reboots_.load());
  if (options_.sandbox != nullptr) {
    options_.sandbox->inspect(node.child("sandbox"));
  }
  ports_.inspect(node.child("ports"));
  mmio_.inspect(node.child("mmio"));
  const MutexLock lock(structure_);
  for (std::size_t i = 0; i < shown_.size(); ++i) {
    if (shown_.at(i) != nullptr) {
      shown_.at(i)->inspect(node.child(kNames.at(i)));
    }
  }
}

}  // namespace gpuvm
