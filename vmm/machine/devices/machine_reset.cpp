// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/machine_reset.hpp"

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"

namespace gpuvm {
namespace {

bool ends_use(ResetReason reason) {
  return reason == ResetReason::kStop || reason == ResetReason::kRepair;
}

Result<FunctionState> read_when_ready(PhysicalDevice& device) {
  const auto clock = ResetClock::real();
  if (!wait_until_ready(device, clock, std::chrono::milliseconds(0))) {
    constexpr auto kLimit = ResetOptions{}.ready_timeout;
    log::info("{} does not answer yet; waiting up to {} s", device.name(),
              std::chrono::duration_cast<std::chrono::seconds>(kLimit).count());
    TRY(wait_until_ready(device, clock, kLimit));
  }
  return read_function_state(device);
}

}  // namespace

std::string_view to_string(ResetReason reason) {
  switch (reason) {
    case ResetReason::kStart:
      return "start";
    case ResetReason::kReboot:
      return "reboot";
    case ResetReason::kStop:
      return "stop";
    case ResetReason::kRepair:
      return "repair";
  }
  return "unknown";
}

/// The host has just reset them, as VFIO's open does: one may need its time. One that does not
/// answer at all is dirty, whoever had it before; how it looked when it was well stays known.
Status MachineReset::wait_for_devices() {
  DeviceClaims& claims = devices_.claims();
  for (PhysicalDevice* const device : devices_.devices()) {
    if (const auto state = read_when_ready(*device); !state) {
      const auto known = claims.known(device->name());
      TRY(claims.mark_dirty(device->name(), state.error().to_string(),
                            known ? to_text(*known) : ""));
    }
  }
  return {};
}

/// With what the configuration and the time before a crash say of them.
Status MachineReset::enter_devices() {
  for (const auto& function : devices_.functions()) {
    PhysicalDevice& device = function->device();
    FunctionResetOptions options = function->host().reset;
    if (!options.known) {
      options.known = devices_.claims().known(device.name());
    }
    TRY(devices_.reset_book().add(device, options));
  }
  return {};
}

Status MachineReset::plan() {
  TRY(wait_for_devices());
  TRY(enter_devices());
  auto plan = TRY(devices_.reset_book().plan(devices_.devices()));
  for (const ResetSet& set : plan.sets()) {
    if (!set.warning.empty()) {
      log::warn("{}", set.warning);
    }
    if (!set.note.empty()) {
      log::info("{}", set.note);
    }
  }
  const MutexLock lock(mutex_);
  plan_.emplace(std::move(plan));
  return {};
}

std::optional<ResetPlan> MachineReset::known_plan() const {
  const MutexLock lock(mutex_);
  return plan_;
}

Status MachineReset::mark_in_use() {
  const auto plan = known_plan();
  if (!plan) {
    return fail(ErrorKind::kInternal, "Devices are in use before their reset is planned");
  }
  const std::string reason = devices_.claims().owner() + " had it when gpuvm ended";
  for (const ResetSet& set : plan->sets()) {
    for (const PlannedFunction& function : set.functions) {
      TRY(devices_.claims().mark_dirty(function.device->name(), reason, to_text(function.before)));
    }
  }
  return {};
}

Status MachineReset::note(ResetReason reason, const ResetPlan& plan,
                          const ResetCertificate& certificate) {
  if (on_reset_) {
    on_reset_(reason, certificate);
  }
  DeviceClaims& claims = devices_.claims();
  for (const ResetSet& set : plan.sets()) {
    if (certificate.is_safe() || set.names() != certificate.functions) {
      continue;
    }
    for (const PlannedFunction& function : set.functions) {
      TRY(claims.mark_dirty(function.device->name(), certificate.text, to_text(function.before)));
    }
  }
  return certificate.is_safe() && ends_use(reason) ? mark_clean(certificate) : Status();
}

Status MachineReset::mark_clean(const ResetCertificate& certificate) {
  for (const std::string& name : certificate.names) {
    TRY(devices_.claims().mark_clean(name));
  }
  return {};
}

Status MachineReset::release() {
  for (const auto& certificate : certificates()) {
    if (certificate.is_safe()) {
      TRY(mark_clean(certificate));
    }
  }
  return {};
}

Status MachineReset::run(ResetReason reason) {
  if (devices_.empty()) {
    return {};
  }
  if (!known_plan()) {
    TRY(plan());
  }
  const ResetPlan plan = *known_plan();
  WorstError errors;  // a mark that cannot be written keeps no device from its reset
  errors.add(mark_in_use());
  const auto certificates = devices_.reset_book().reset(
      plan, ResetClock::real(),
      reason == ResetReason::kStop ? ResetWish::kNextUser : ResetWish::kMachine);
  {
    const MutexLock lock(mutex_);
    last_ = certificates;
    ++runs_;
  }
  for (const auto& certificate : certificates) {
    errors.add(note(reason, plan, certificate));
    if (certificate.is_safe()) {
      log::info("Reset at {}: {}: {}, {}, {} ms", to_string(reason), certificate.functions,
                to_string(certificate.method), to_string(certificate.verdict),
                certificate.duration.count());
    }
  }
  errors.add(check_all_safe(certificates));
  return errors.take();
}

std::vector<ResetCertificate> MachineReset::certificates() const {
  const MutexLock lock(mutex_);
  return last_;
}

void MachineReset::inspect(InspectNode& node) const {
  {
    const MutexLock lock(mutex_);
    node.field("runs", runs_);
  }
  if (const auto plan = known_plan()) {
    devices_.reset_book().current(*plan).inspect(node.child("plan"));
  }
  for (const auto& certificate : certificates()) {
    certificate.inspect(node.child("last").child(certificate.functions));
  }
  devices_.reset_book().inspect(node.child("book"));
}

}  // namespace gpuvm
