// SPDX-License-Identifier: Apache-2.0
// DeviceReset: when the machine's host devices are reset, what came of it, and what is noted of it
// where a crash does not reach: from the first reset on a function counts as dirty, until a
// verified one at the stop. The plan is made once, while the devices are well; every later reset
// uses it.
#pragma once

#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "devices/physical/reset/reset_sequence.hpp"
#include "vmm/machine/devices/host_devices.hpp"

namespace gpuvm {

enum class ResetReason {
  kStart,   ///< a guest is about to get the devices
  kReboot,  ///< the guest starts over and keeps them
  kStop,    ///< nobody needs them any more
  kRepair,  ///< no guest: gpuvm reset
};
std::string_view to_string(ResetReason reason);

class DeviceReset : public Inspectable {
 public:
  using OnReset = std::function<void(ResetReason, const ResetCertificate&)>;
  /// `devices` must outlive this; `on_reset` is told of every set's reset, those that failed too.
  explicit DeviceReset(HostDevices& devices, OnReset on_reset = {})
      : devices_(devices), on_reset_(std::move(on_reset)) {}

  /// Makes the plan, while the devices are well; run() does it where nobody has. Errors:
  /// kUnsafeDevice, kConfig.
  Status plan();
  /// After plan(): marks every device as dirty, which run() does too. Errors: kHost.
  Status mark_in_use();
  /// Resets and verifies every device; does nothing without devices. Errors: kUnsafeDevice; the
  /// devices that it names are marked as dirty.
  Status run(ResetReason reason);
  /// In place of a last run where no guest had the devices since the one before: those that it
  /// verified are no longer dirty, the others stay so. Errors: kHost.
  Status release();
  /// Of the last run.
  const std::vector<ResetCertificate>& certificates() const { return last_; }
  void inspect(InspectNode& node) const override;

 private:
  Status note(ResetReason reason, const ResetCertificate& certificate);
  Status mark_clean(const ResetCertificate& certificate);

  HostDevices& devices_;
  OnReset on_reset_;
  std::optional<ResetPlan> plan_;
  std::vector<ResetCertificate> last_;
  std::uint64_t runs_ = 0;
};

/// What the configuration and the time before a crash say about a function, for a plan.
FunctionResetOptions reset_options(HostDevices& devices, const OwnedFunction& function);
/// Of all, in their order.
std::vector<FunctionResetOptions> reset_options(HostDevices& devices);

}  // namespace gpuvm
