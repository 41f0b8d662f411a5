// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/device_reset.hpp"

#include "vmm/base/log.hpp"

namespace gpuvm {

std::string_view to_string(ResetReason reason) {
  switch (reason) {
    case ResetReason::kStart:
      return "start";
    case ResetReason::kReboot:
      return "reboot";
    case ResetReason::kStop:
      return "stop";
  }
  return "unknown";
}

Status DeviceReset::run(ResetReason reason) {
  if (devices_.empty()) {
    return {};
  }
  if (!plan_) {
    plan_.emplace(TRY(ResetPlan::create(*devices_.vfio(), devices_.vfio()->devices())));
  }
  last_ = TRY(run_reset(*devices_.vfio(), *plan_));
  ++runs_;
  for (const auto& certificate : last_) {
    log::info("Reset at {}: {}: {}, {}, {} ms", to_string(reason), certificate.functions,
              to_string(certificate.method), to_string(certificate.verdict),
              certificate.duration.count());
  }
  return {};
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
