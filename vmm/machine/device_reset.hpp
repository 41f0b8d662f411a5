// SPDX-License-Identifier: Apache-2.0
// DeviceReset: when the machine's host devices are reset, and what came of it. The plan is made
// once, while the devices are well; every later reset uses it.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "devices/passthrough/reset/reset_sequence.hpp"
#include "vmm/machine/host_devices.hpp"

namespace gpuvm {

enum class ResetReason { kStart, kReboot, kStop };
std::string_view to_string(ResetReason reason);

class DeviceReset : public Inspectable {
 public:
  /// `devices` must outlive this.
  explicit DeviceReset(HostDevices& devices) : devices_(devices) {}

  /// Resets and verifies every device; does nothing without devices. Errors: kUnsafeDevice.
  Status run(ResetReason reason);
  void inspect(InspectNode& node) const override;

 private:
  HostDevices& devices_;
  std::optional<ResetPlan> plan_;
  std::vector<ResetCertificate> last_;
  std::uint64_t runs_ = 0;
};

}  // namespace gpuvm
