// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/guest_reset.hpp"

#include <fmt/format.h>

#include "devices/physical/reset/function_check.hpp"

namespace gpuvm {
namespace {

using Faults = std::vector<std::string>;

Faults look(const ResetPlan& plan, const ResetSet& set, const PlannedFunction& function,
            ResetMethod method, const ResetClock& clock) {
  PhysicalDevice& device = *function.device;
  if (const auto ready = wait_until_ready(device, clock, plan.options().ready_timeout); !ready) {
    return {ready.error().to_string()};
  }
  if (method == ResetMethod::kPowerReset) {
    return check_function(
               device, function.before, *function.policy, clock,
               {.link_width = false, .registers = false, .quiet = false, .memory = false})
        .faults;
  }
  if (const auto shown = show_audio_again(device, function.before); !shown) {
    return {shown.error().to_string()};
  }
  clock.sleep(set.settle);
  if (const auto stopped = stop_decoding(device); !stopped) {
    return {stopped.error().to_string()};
  }
  return check_function(device, function.before, *function.policy, clock, {.link_width = false})
      .faults;
}

}  // namespace

ResetCertificate check_guest_reset(const ResetPlan& plan, const ResetSet& set,
                                   const PlannedFunction& function, ResetMethod method,
                                   std::chrono::milliseconds so_far, const ResetClock& clock,
                                   const std::optional<Error>& refusal) {
  const auto start = clock.now();
  const Faults faults =
      refusal ? Faults{refusal->to_string()} : look(plan, set, function, method, clock);
  ResetCertificate certificate;
  certificate.functions = function.device->name();
  certificate.names = {certificate.functions};
  certificate.method = method;
  certificate.duration = so_far + (clock.now() - start);
  certificate.verdict = faults.empty() ? ResetVerdict::kVerified : ResetVerdict::kFailed;
  if (!faults.empty() && !refusal) {
    certificate.did_not_help = {method};
  }
  certificate.text = fmt::format("{} of {} in {} ms, {}", to_string(method), certificate.functions,
                                 certificate.duration.count(), to_string(certificate.verdict));
  for (const std::string& fault : faults) {
    certificate.text += "; " + fault;
  }
  return certificate;
}

}  // namespace gpuvm
