// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_policy.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"

namespace gpuvm {
namespace {

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::string_view to_string(ResetMethod method) {
  switch (method) {
    case ResetMethod::kHotReset:
      return "hot reset";
    case ResetMethod::kFunctionReset:
      return "function reset";
    case ResetMethod::kLinkRetrain:
      return "link retraining";
    case ResetMethod::kSlotPower:
      return "slot power cycle";
    case ResetMethod::kRescan:
      return "removal and rescan";
    case ResetMethod::kPowerReset:
      return "power management reset";
    case ResetMethod::kNone:
      return "no reset";
  }
  return "unknown";
}

bool ResetPolicy::concerns(std::uint16_t of_vendor, std::uint16_t of_device,
                           std::uint32_t class_code) const {
  const std::uint32_t base = class_code >> 16;
  const bool is_gpu = base == pci::kBaseClassDisplay || base == pci::kBaseClassAccelerator;
  return vendor == of_vendor && of_device >= first_device && of_device <= last_device &&
         (is_gpu || !is_for_gpus());
}

const ResetPolicy& find_reset_policy(std::uint16_t vendor, std::uint16_t device,
                                     std::uint32_t class_code) {
  const auto rows = reset_policies();
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const ResetPolicy& entry) {
    return entry.concerns(vendor, device, class_code);
  });
  return row == rows.end() ? default_reset_policy() : *row;
}

bool hides_function_reset(const ResetPolicy& policy, std::optional<ResetMethod> chosen) {
  return chosen == ResetMethod::kNone ||
         (!policy.allows_function_reset && chosen != ResetMethod::kFunctionReset);
}

namespace {

/// The argument of `echo` that leaves the kernel all methods but the forbidden one; with none left
/// it switches all off (Linux, drivers/pci/pci-sysfs.c and pci.c, reset_method_store), and a hot
/// reset by VFIO still works. The kernel lists `bus` for function 0 before it has found the other
/// functions of the slot, and then refuses to be told it (pci_parent_bus_reset).
std::string methods_without(std::string_view forbidden, std::span<const std::string> methods,
                            bool shares_slot) {
  std::string text;
  for (const std::string& method : methods) {
    if (method != forbidden && !(shares_slot && method == "bus")) {
      text += " " + method;
    }
  }
  return text;
}

bool has_forbidden_method(const ResetPolicy& policy, std::span<const std::string> methods) {
  return !policy.forbidden_kernel_method.empty() &&
         std::find(methods.begin(), methods.end(), policy.forbidden_kernel_method) != methods.end();
}

constexpr std::string_view kOverride = "`reset =` of its [[pci]] entry overrides this";

/// As if the user had chosen nothing.
Status check_methods(const std::string& name, const ResetPolicy& policy,
                     std::span<const std::string> methods, bool shares_slot) {
  const std::string path = "/sys/bus/pci/devices/" + name + "/reset_method";
  if (!policy.allows_hot_reset && !policy.allows_function_reset && !methods.empty()) {
    return fail(ErrorKind::kUnsafeDevice,
                "{} ({}) must not be opened: {} (source: {}). The kernel would reset it then (its "
                "methods: {}), unless root switches that off: `echo > {}`. {}",
                name, policy.name, policy.reason, policy.source, joined(methods), path, kOverride);
  }
  if (has_forbidden_method(policy, methods)) {
    return fail(ErrorKind::kUnsafeDevice,
                "{} ({}) must not get the kernel's \"{}\" reset: {} (source: {}). The kernel would "
                "use it when the device is opened (its methods: {}). As root: `echo{} > {}`",
                name, policy.name, policy.forbidden_kernel_method, policy.reason, policy.source,
                joined(methods),
                methods_without(policy.forbidden_kernel_method, methods, shares_slot), path);
  }
  const std::string_view first = methods.empty() ? std::string_view() : methods.front();
  if (!policy.required_kernel_method.empty() && first != policy.required_kernel_method) {
    return fail(ErrorKind::kUnsafeDevice,
                "{} ({}) needs the kernel's \"{}\" reset: {} (source: {}). Its methods are: {}. "
                "Load the module vendor-reset before vfio-pci, then as root: `echo {} > {}`. {}",
                name, policy.name, policy.required_kernel_method, policy.reason, policy.source,
                joined(methods), policy.required_kernel_method, path, kOverride);
  }
  return {};
}

bool overrides(std::optional<ResetMethod> chosen, const ResetPolicy& policy,
               std::span<const std::string> methods) {
  return chosen &&
         (*chosen == ResetMethod::kFunctionReset || !has_forbidden_method(policy, methods));
}

}  // namespace

Status check_kernel_reset_methods(const std::string& name, const ResetPolicy& policy,
                                  std::span<const std::string> methods, bool shares_slot,
                                  std::optional<ResetMethod> chosen) {
  return overrides(chosen, policy, methods) ? Status()
                                            : check_methods(name, policy, methods, shares_slot);
}

std::string overridden_refusal(const std::string& name, const ResetPolicy& policy,
                               std::span<const std::string> methods, bool shares_slot,
                               std::optional<ResetMethod> chosen) {
  const Status status = check_methods(name, policy, methods, shares_slot);
  if (status || !overrides(chosen, policy, methods)) {
    return {};
  }
  return fmt::format("The configuration chose {} for it all the same: {}", to_string(*chosen),
                     status.error().message());
}

}  // namespace gpuvm
