// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/host_function.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "devices/physical/reset/reset_policy.hpp"
#include "vmm/config/port_assignment.hpp"
#include "vmm/host/bar_claims.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/vfio_driver.hpp"
#include "vmm/machine/devices/view_of_config.hpp"

namespace gpuvm {
namespace {

/// An entry with the functions that it takes; none for one of a server.
struct ChosenSlot {
  const PciConfig* entry;
  std::vector<Bdf> functions;
};

std::string name_of(const PciConfig& entry) {
  return entry.place.or_else(!entry.match.empty() ? "[[pci]] match"
                             : entry.socket.empty()
                                 ? "[[pci]] host = \"" + entry.host.to_string() + "\""
                                 : "[[pci]] socket = \"" + entry.socket + "\"");
}

Status check_taken_once(const std::vector<ChosenSlot>& slots) {
  std::map<Bdf, std::size_t> takers;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    for (const auto& bdf : slots[i].functions) {
      if (const auto [taker, is_first] = takers.emplace(bdf, i); !is_first) {
        return fail(
            ErrorKind::kConfig,
            "{} takes {}, as {} does: list the functions of the slot in \"functions\" of "
            "both, or keep one entry with functions = \"all\"",
            slots[i].entry->place.or_else(fmt::format("pci.{}", i)), bdf.to_string(),
            slots[taker->second].entry->place.or_else(fmt::format("pci.{}", taker->second)));
      }
    }
  }
  return {};
}

Result<std::vector<ChosenSlot>> choose_slots(const HostSystem& host,
                                             const std::vector<PciConfig>& entries) {
  std::vector<ChosenSlot> slots;
  for (const auto& entry : entries) {
    if (!entry.match.empty()) {
      return fail(ErrorKind::kInternal, "{} has not been given a card", name_of(entry));
    }
    slots.push_back({&entry, {}});
    if (entry.socket.empty()) {
      slots.back().functions = TRY_CONTEXT(functions_of(host, entry), name_of(entry));
    }
  }
  TRY(check_taken_once(slots));
  return slots;
}

/// The class that the guest sees decides, where the entry gives one.
Result<SlotRequest> request_of(const HostSystem& host, const ChosenSlot& slot) {
  const PciConfig& entry = *slot.entry;
  if (!entry.socket.empty()) {
    SlotRequest request{.name = entry.socket, .functions = {0}, .port = entry.port};
    // Nobody has asked the server what it has.
    if (const auto& ids = entry.identity; ids.class_code) {
      request.kind = slot_kind_of(ids.vendor_id.value_or(0), *ids.class_code);
    }
    return request;
  }
  SlotRequest request{.name = entry.host.to_string(), .functions = {}, .port = entry.port};
  Bdf card = entry.host;
  card.function = 0;
  request.card = card;
  for (const auto& bdf : slot.functions) {
    const auto device = TRY(HostPciDevice::open(host, bdf));
    const auto shown = bdf == entry.host ? entry.identity.class_code : std::nullopt;
    request.kind = std::min(
        request.kind, slot_kind_of(device.ids().vendor, shown.value_or(device.ids().class_code)));
    request.functions.push_back(bdf.function);
    if (device.physical_function()) {
      request.card.reset();
    }
  }
  return request;
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

std::optional<ScrubChoice> scrub_choice(const PciConfig& entry) {
  if (entry.scrub == PciScrub::kOff) {
    return std::nullopt;
  }
  ScrubChoice choice{.bars = {}, .limit = entry.scrub_limit};
  choice.bars.assign(entry.scrub_bars.begin(), entry.scrub_bars.end());
  return choice;
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
  auto frame_buffer = frame_buffer_advice(host, bdf);
  if (!frame_buffer.empty()) {
    advice.push_back(std::move(frame_buffer));
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

Result<std::optional<BarSizeChoice>> bar_size_of(const HostSystem& host, const PciConfig& entry,
                                                 const Bdf& function) {
  if (!entry.resize_bar || !(function == entry.host)) {
    return std::optional<BarSizeChoice>();
  }
  const BarSizeChoice choice{.bar = entry.resize_bar->bar, .size = entry.resize_bar->size};
  TRY_CONTEXT(plan_bar_resize(host, function, choice), "pci.resize_bar");
  return std::optional(choice);
}

Status check_vf_token(const HostSystem& host, const Bdf& function, const std::string& token) {
  const auto device = TRY(HostPciDevice::open(host, function));
  const auto parent = device.physical_function();
  const bool is_wanted = parent && is_with_vfio(host, *parent);
  if (is_wanted && token.empty()) {
    return fail(ErrorKind::kConfig,
                "{} is a virtual function of {}, which VFIO has: set vf_token to the UUID that was "
                "given to whoever opened that one",
                function.to_string(), parent->to_string());
  }
  if (!token.empty() && parent && !is_wanted) {
    return fail(ErrorKind::kConfig,
                "{} is a virtual function of {}, which has a driver of the host, so the kernel "
                "takes no token: remove vf_token",
                function.to_string(), parent->to_string());
  }
  if (!token.empty() && !parent && !host.exists(pci_sysfs_path(function, "sriov_totalvfs"))) {
    return fail(ErrorKind::kConfig, "{} has nothing to do with virtual functions: remove vf_token",
                function.to_string());
  }
  return {};
}

namespace {

Result<HostFunction> remote_function(const PciConfig& entry, const SlotPlace& place) {
  return HostFunction{.host = {},
                      .port = place.port,
                      .function = place.functions.front(),
                      .managed = false,
                      .reset = reset_choice(entry),
                      .view = TRY(view_of_remote(entry)),
                      .socket = entry.socket,
                      .scrub = scrub_choice(entry)};
}

Result<HostFunction> own_function(const HostSystem& host, const PciConfig& entry, const Bdf& bdf,
                                  const SlotPlace& place, std::uint8_t number) {
  HostFunction function{.host = bdf,
                        .port = place.port,
                        .function = number,
                        .managed = entry.managed,
                        .reset = reset_choice(entry, link_width_of(host, bdf))};
  function.vf_token = bdf == entry.host ? entry.vf_token : std::string();
  TRY(check_vf_token(host, bdf, function.vf_token));
  function.view = TRY(view_of(host, entry, bdf));
  function.bar_size = TRY(bar_size_of(host, entry, bdf));
  function.scrub = bdf == entry.host ? scrub_choice(entry) : std::nullopt;
  return function;
}

}  // namespace

PciConfig entry_of_card(const Bdf& card, PciScrub scrub) {
  PciConfig entry;
  entry.host = card;
  entry.scrub = scrub;
  return entry;
}

Result<std::vector<HostFunction>> resolve_functions(const HostSystem& host,
                                                    const std::vector<PciConfig>& entries) {
  const auto slots = TRY(choose_slots(host, entries));
  std::vector<SlotRequest> requests;
  for (const auto& slot : slots) {
    requests.push_back(TRY_CONTEXT(request_of(host, slot), name_of(*slot.entry)));
  }
  const auto places = TRY(assign_ports(requests));
  std::vector<HostFunction> functions;
  for (std::size_t i = 0; i < slots.size(); ++i) {
    const PciConfig& entry = *slots[i].entry;
    if (!entry.socket.empty()) {
      functions.push_back(TRY_CONTEXT(remote_function(entry, places[i]), name_of(entry)));
      continue;
    }
    for (std::size_t j = 0; j < slots[i].functions.size(); ++j) {
      functions.push_back(TRY_CONTEXT(
          own_function(host, entry, slots[i].functions[j], places[i], places[i].functions[j]),
          name_of(entry)));
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
