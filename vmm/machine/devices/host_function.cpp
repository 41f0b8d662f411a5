// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/host_function.hpp"

#include <algorithm>
#include <array>

#include "devices/physical/reset/reset_policy.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/devices/view_of_config.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kFunctionsPerPort = 8;

/// Which function numbers behind each port are taken.
using TakenFunctions = std::array<std::array<bool, kFunctionsPerPort>, 8>;

Result<std::vector<Bdf>> functions_of(const HostSystem& host, const PciConfig& entry) {
  const auto device = TRY(HostPciDevice::open(host, entry.host));
  if (entry.functions.empty()) {
    return device.slot_functions();
  }
  std::vector<Bdf> functions;
  for (const std::uint8_t number : entry.functions) {
    Bdf bdf = entry.host;
    bdf.function = number;
    TRY(HostPciDevice::open(host, bdf));
    functions.push_back(bdf);
  }
  return functions;
}

Result<std::uint8_t> place_function(TakenFunctions& taken, std::uint8_t port, std::uint8_t wanted,
                                    bool keep_number, const std::string& name) {
  auto& numbers = taken.at(port);
  std::uint8_t number = wanted;
  if (!keep_number) {
    number = static_cast<std::uint8_t>(std::find(numbers.begin(), numbers.end(), false) -
                                       numbers.begin());
  }
  if (number >= kFunctionsPerPort) {
    return fail(
        ErrorKind::kConfig,
        "{} does not fit behind root port {}: a port has {} functions; give it another one with "
        "\"port = {}\"",
        name, port, kFunctionsPerPort, port + 1);
  }
  numbers.at(number) = true;
  return number;
}

FunctionResetOptions reset_choice(const PciConfig& entry, std::uint8_t link_width = 0) {
  FunctionResetOptions options{.method = {}, .settle = {}, .known = {}, .link_width = link_width};
  switch (entry.reset) {
    case ResetChoice::kAuto:
      break;
    case ResetChoice::kHot:
      options.method = ResetMethod::kHotReset;
      break;
    case ResetChoice::kFunction:
      options.method = ResetMethod::kFunctionReset;
      break;
    case ResetChoice::kNone:
      options.method = ResetMethod::kNone;
      break;
  }
  if (entry.reset_wait) {
    options.settle = std::chrono::milliseconds(*entry.reset_wait);
  }
  return options;
}

}  // namespace

std::uint8_t link_width_of(const HostSystem& host, const Bdf& bdf) {
  const auto device = HostPciDevice::open(host, bdf);
  return device ? static_cast<std::uint8_t>(device->link().width) : std::uint8_t{0};
}

namespace {

const ResetPolicy& reset_policy_of(const HostPciDevice& device) {
  return find_reset_policy(device.ids().vendor, device.ids().device, device.ids().class_code);
}

bool has_slot_neighbours(const HostPciDevice& device) {
  return device.slot_functions().size() > 1;
}

}  // namespace

Status check_open_is_safe(const HostSystem& host, const Bdf& bdf,
                          std::optional<ResetMethod> chosen) {
  const auto device = TRY(HostPciDevice::open(host, bdf));
  return check_kernel_reset_methods(bdf.to_string(), reset_policy_of(device),
                                    device.reset_methods(), has_slot_neighbours(device), chosen);
}

std::vector<std::string> open_advice(const HostSystem& host, const Bdf& bdf,
                                     std::optional<ResetMethod> chosen) {
  const auto device = HostPciDevice::open(host, bdf);
  if (!device) {
    return {};
  }
  std::vector<std::string> advice;
  const auto& policy = reset_policy_of(*device);
  auto overridden = overridden_refusal(bdf.to_string(), policy, device->reset_methods(),
                                       has_slot_neighbours(*device), chosen);
  if (!overridden.empty()) {
    advice.push_back(std::move(overridden));
  }
  const std::string parameter = "/sys/module/vfio_pci/parameters/disable_idle_d3";
  const auto value = host.read(parameter);
  if (policy.sleeps_badly && value && value->starts_with("N")) {
    advice.push_back(fmt::format(
        "{} ({}) may not wake from the power state into which vfio-pci puts it while no guest has "
        "it (source: {}). As root: `echo Y > {}`",
        bdf.to_string(), policy.name, policy.source, parameter));
  }
  return advice;
}

Result<std::vector<HostFunction>> resolve_functions(const HostSystem& host,
                                                    const std::vector<PciConfig>& entries) {
  std::vector<HostFunction> functions;
  TakenFunctions taken{};
  for (const auto& entry : entries) {
    const std::uint8_t port = entry.port;
    const auto& numbers = taken.at(port);
    const bool first = std::find(numbers.begin(), numbers.end(), true) == numbers.end();
    if (!entry.socket.empty()) {
      const auto number = TRY(place_function(taken, port, 0, first, entry.socket));
      functions.push_back({.host = {},
                           .port = port,
                           .function = number,
                           .managed = false,
                           .reset = reset_choice(entry),
                           .view = TRY(view_of_remote(entry)),
                           .socket = entry.socket});
      continue;
    }
    const auto bdfs =
        TRY_CONTEXT(functions_of(host, entry), "[[pci]] host = \"" + entry.host.to_string() + "\"");
    // A function other than 0 cannot be found without function 0 (PCI Local Bus 3.0, 3.2.2.3.4).
    const bool keep = first && !bdfs.empty() && bdfs.front().function == 0;
    for (const auto& bdf : bdfs) {
      const auto number = TRY(place_function(taken, port, bdf.function, keep, bdf.to_string()));
      functions.push_back({.host = bdf,
                           .port = port,
                           .function = number,
                           .managed = entry.managed,
                           .reset = reset_choice(entry, link_width_of(host, bdf)),
                           .view = TRY(view_of(host, entry, bdf))});
    }
  }
  std::stable_partition(functions.begin(), functions.end(),
                        [](const HostFunction& function) { return !function.is_remote(); });
  return functions;
}

FunctionPointers pointers_to(const std::vector<HostFunction>& functions) {
  FunctionPointers pointers;
  for (const auto& function : functions) {
    pointers.push_back(&function);
  }
  return pointers;
}

std::vector<Bdf> addresses_of(const FunctionPointers& functions) {
  std::vector<Bdf> addresses;
  for (const HostFunction* const function : functions) {
    if (!function->is_remote()) {
      addresses.push_back(function->host);
    }
  }
  return addresses;
}

std::vector<std::string> sockets_of(const FunctionPointers& functions) {
  std::vector<std::string> sockets;
  for (const HostFunction* const function : functions) {
    if (function->is_remote()) {
      sockets.push_back(function->socket);
    }
  }
  return sockets;
}

}  // namespace gpuvm
