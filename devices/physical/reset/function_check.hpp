// SPDX-License-Identifier: Apache-2.0
// Is a function well after a reset? It is compared with what it was; what a healthy card shows only
// some time after it answers again is waited for, up to the limit of the card's row in the policy
// table (PCI Express Base 6.0, 6.6.1, 7.5.1 to 7.5.3).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "devices/physical/reset/bar_check.hpp"
#include "devices/physical/reset/function_state.hpp"
#include "devices/physical/reset/reset_policy.hpp"

namespace gpuvm {

/// What is compared beside identity, BAR sizes and the power state.
struct CheckScope {
  bool link_width = true;
  /// Waited for, and odd where it stays low. Only after a reset of the link: any other leaves it as
  /// slow as the driver made it while the device idled.
  bool link_speed = false;
  bool registers = true;  ///< the policy's
  bool quiet = true;      ///< decode, bus mastering, MSI and MSI-X are off
  bool memory = true;     ///< memory BARs answer; where their registers are is looked at always
};

/// Each a sentence that begins with the function's name.
struct CheckFindings {
  std::vector<std::string> faults;    ///< empty: the function is well
  std::vector<std::string> oddities;  ///< worth telling, no fault
  bool is_link_narrow = false;        ///< among the faults
  bool has_lost_registers = false;    ///< the same: of BARs, see BarFindings
  BarLook bars = {};
};

/// Compares with the state from before, runs the policy's register checks and looks whether the
/// BARs lead to the function. Memory decode is as before afterwards. Takes up to the policy's
/// boot_time three times and, with link_speed, a second, where something is not as it should be.
CheckFindings check_function(PhysicalDevice& device, const FunctionState& known,
                             const ResetPolicy& policy, const ResetClock& clock,
                             const CheckScope& scope = {});

/// A register of the policy's checks as it reads.
struct RegisterValue {
  const RegisterCheck* check = nullptr;
  std::optional<std::uint32_t> value = {};  ///< nothing: it cannot be read
};
/// Reads every register of the policy's checks once, of a display controller. Memory decode is on
/// for these reads only.
std::vector<RegisterValue> read_check_registers(PhysicalDevice& device, const FunctionState& state,
                                                const ResetPolicy& policy);

}  // namespace gpuvm
