// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/device_reset.hpp"

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

FunctionResetOptions reset_options(HostDevices& devices, const OwnedFunction& function) {
  auto options = function.host().reset;
  if (!options.known) {
    options.known = devices.claims().known(function.name());
  }
  return options;
}

std::vector<FunctionResetOptions> reset_options(HostDevices& devices) {
  std::vector<FunctionResetOptions> options;
  for (const auto& function : devices.functions()) {
    options.push_back(reset_options(devices, *function));
  }
  return options;
}

/// The host has just reset them, as VFIO's open does: one may need its time. One that does not
/// answer at all is dirty, whoever had it before; how it looked when it was well stays known.
Status DeviceReset::plan() {
  DeviceClaims& claims = devices_.claims();
  for (PhysicalDevice* const device : devices_.devices()) {
    if (const auto state = read_when_ready(*device); !state) {
      const auto known = claims.known(device->name());
      TRY(claims.mark_dirty(device->name(), state.error().to_string(),
                            known ? to_text(*known) : ""));
    }
  }
  plan_.emplace(
      TRY(ResetPlan::create(devices_.host(), devices_.devices(), {}, reset_options(devices_))));
  for (const ResetSet& set : plan_->sets()) {
    if (!set.warning.empty()) {
      log::warn("{}", set.warning);
    }
  }
  return {};
}

Status DeviceReset::mark_in_use() {
  const std::string reason = devices_.claims().owner() + " had it when gpuvm ended";
  for (const ResetSet& set : plan_->sets()) {
    for (const PlannedFunction& function : set.functions) {
      TRY(devices_.claims().mark_dirty(function.device->name(), reason, to_text(function.before)));
    }
  }
  return {};
}

Status DeviceReset::note(ResetReason reason, const ResetCertificate& certificate) {
  if (on_reset_) {
    on_reset_(reason, certificate);
  }
  DeviceClaims& claims = devices_.claims();
  for (const ResetSet& set : plan_->sets()) {
    if (certificate.is_safe() || set.names() != certificate.functions) {
      continue;
    }
    for (const PlannedFunction& function : set.functions) {
      TRY(claims.mark_dirty(function.device->name(), certificate.text, to_text(function.before)));
    }
  }
  return certificate.is_safe() && ends_use(reason) ? mark_clean(certificate) : Status();
}

Status DeviceReset::mark_clean(const ResetCertificate& certificate) {
  for (const std::string& name : certificate.names) {
    TRY(devices_.claims().mark_clean(name));
  }
  return {};
}

Status DeviceReset::release() {
  for (const auto& certificate : last_) {
    if (certificate.is_safe()) {
      TRY(mark_clean(certificate));
    }
  }
  return {};
}

Status DeviceReset::run(ResetReason reason) {
  if (devices_.empty()) {
    return {};
  }
  if (!plan_) {
    TRY(plan());
  }
  WorstError errors;  // a mark that cannot be written keeps no device from its reset
  errors.add(mark_in_use());
  last_ = reset_all(devices_.host(), *plan_);
  ++runs_;
  for (const auto& certificate : last_) {
    errors.add(note(reason, certificate));
    if (certificate.is_safe() && certificate.is_escalated) {
      plan_->prefer(certificate.functions, certificate.method);
    }
    if (certificate.is_safe()) {
      log::info("Reset at {}: {}: {}, {}, {} ms", to_string(reason), certificate.functions,
                to_string(certificate.method), to_string(certificate.verdict),
                certificate.duration.count());
    }
  }
  errors.add(check_all_safe(last_));
  return errors.take();
}

void DeviceReset::inspect(InspectNode& node) const {
  node.field("runs", runs_);
  if (plan_) {
    plan_->inspect(node.child("plan"));
  }
  for (const auto& certificate : last_) {
    certificate.inspect(node.child("last").child(certificate.functions));
  }
}

}  // namespace gpuvm
