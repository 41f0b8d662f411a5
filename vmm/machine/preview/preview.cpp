// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/preview.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "devices/passthrough/function_facts.hpp"
#include "devices/passthrough/function_plan.hpp"
#include "devices/physical/reset/reset_plan.hpp"
#include "devices/physical/reset/reset_policy.hpp"
#include "vmm/channels/guest_words.hpp"
#include "vmm/first_boot/first_boot.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/machine/devices/sysfs_facts.hpp"
#include "vmm/machine/pci/networks.hpp"
#include "vmm/machine/pci/pci_plan.hpp"
#include "vmm/machine/pci/port_facts.hpp"
#include "vmm/machine/preview/attachable_cards.hpp"
#include "vmm/machine/preview/found_functions.hpp"
#include "vmm/machine/preview/reset_words.hpp"
#include "vmm/machine/preview/start_check.hpp"
#include "vmm/machine/preview/sysfs_function.hpp"
#include "vmm/machine/services/vsock.hpp"

namespace gpuvm {
namespace {

struct Function {
  HostFunction place;
  std::unique_ptr<SysfsFunction> sysfs;  ///< its reads change nothing
  FunctionFacts facts;
};

void describe_machine_itself(const Config& config, InspectNode& node) {
  node.field("cpus", std::uint64_t{config.machine.cpus});
  node.field("memory_mib", config.machine.memory >> 20);
  if (config.machine.free_ports > 0) {
    node.field("free_ports", fmt::format("{}, with {} MiB of address space each",
                                         config.machine.free_ports, config.machine.reserve >> 20));
  }
  const BootConfig& boot = config.boot;
  node.field("boot", to_string(boot.mode));
  if (boot.mode == BootMode::kUefi) {
    node.field("firmware", boot.firmware.value_or(""));
    node.field("vars", boot.vars.value_or(""));
  }
  node.field("kernel", boot.kernel.empty() ? "none: the firmware starts from a disk" : boot.kernel);
  node.field("initrd", boot.initrd.value_or("none"));
  for (std::size_t i = 0; i < config.disks.size(); ++i) {
    const DiskConfig& disk = config.disks[i];
    node.field(fmt::format("disk_{}", i), disk.path + (disk.read_only ? ", read-only" : ""));
  }
  for (std::size_t i = 0; i < config.nets.size(); ++i) {
    node.field(fmt::format("net_{}", i), network_text(config.nets[i], config.name, i));
  }
  if (config.vsock) {
    node.field("vsock", vsock_text(*config.vsock, config.name));
  }
  for (const ShareConfig& share : config.shares) {
    node.field(fmt::format("share_{}", share.tag),
               share.path + (share.read_only ? ", read-only" : ""));
  }
  describe_first_boot(config, node);
  describe_words(config, node);
}

/// What a start would be refused for, and what is well.
void describe_checks(const std::vector<Finding>& findings, InspectNode& node) {
  for (const Finding& finding : findings) {
    InspectNode& at = finding.of.empty() ? node : node.child(finding.check);
    const bool tells_note = finding.check == kAttachableCheck && !finding.note.empty();
    at.field(finding.of.empty() ? finding.check : finding.of,
             !finding.outcome ? finding.outcome.error().to_string()
             : tells_note     ? finding.note
                              : "ok");
  }
}

std::string owner_text(const HostSystem& host, const Bdf& bdf) {
  const auto record = read_device_record(host, bdf);
  if (!record) {
    return "nobody";
  }
  return record->dirty.empty() ? fmt::format("{} (pid {})", record->owner, record->pid)
                               : fmt::format("{} (pid {}), and dirty after it: {}", record->owner,
                                             record->pid, record->dirty);
}

void describe_function(const HostSystem& host, const Function& function, InspectNode& node) {
  const HostPciDevice& device = function.sysfs->device();
  node.field("guest_address", fmt::format("root port {}, function {}", function.place.port,
                                          function.place.function));
  device.inspect(node);
  node.field("managed", function.place.managed);
  node.field("owner", owner_text(host, function.place.host));
  if (!function.sysfs->shows_capabilities()) {
    node.field("capabilities", "hidden without root: what follows of FLR and links may be wrong");
  }
  const auto chosen = function.place.reset.method;
  if (function.place.bar_size) {
    const auto resize = plan_bar_resize(host, function.place.host, *function.place.bar_size);
    node.field("resize_bar", resize ? resize->to_string() : resize.error().to_string());
  }
  const Status opening = check_open_is_safe(host, function.place.host, chosen);
  node.field("opening", opening ? "safe" : opening.error().to_string());
  const auto advice = open_advice(host, function.place.host, chosen);
  if (!advice.empty()) {
    node.field("advice", fmt::format("{}", fmt::join(advice, "; ")));
  }
}

/// Those that the device could have, on or off.
void describe_quirks(std::span<const std::byte> config, const std::vector<QuirkKind>& on,
                     InspectNode& node) {
  for (const auto kind : possible_quirks(config)) {
    const auto& policy = policy_of(kind);
    auto& child = node.child(policy.name);
    child.field("on", std::find(on.begin(), on.end(), kind) != on.end());
    child.field("needed_by", policy.needed_by);
    child.field("cost", policy.cost);
    child.field("source", policy.source);
  }
}

/// Where the guest will find the MSI-X table; where nothing was asked for, what "auto" would do.
Status describe_msix(const Function& function, const FunctionPlan& plan, InspectNode& node) {
  if (!function.facts.offers.is_complete || !plan.msix.hardware) {
    return {};
  }
  auto& child = node.child("msix_relocation");
  plan.msix.inspect(child);
  if (function.place.view.msix_relocation.mode == MsixRelocation::Mode::kOff) {
    auto view = function.place.view;
    view.msix_relocation.mode = MsixRelocation::Mode::kAuto;
    const auto would = TRY(FunctionPlan::create(function.place.name(), function.facts, view, {}));
    child.field("with_auto", fmt::format("{} ({})", would.msix.effect, would.msix.reason));
  }
  return {};
}

void describe_coherent(const HostFunction& function, InspectNode& node) {
  const auto& view = function.view;
  if (view.coherent.is_there()) {
    auto& child = node.child(function.name()).child("coherent_memory");
    child.field("source", view.coherent.to_string());
    child.field("place", view.coherent_at
                             ? fmt::format("the host's, {:#x}", view.coherent_at->value())
                             : "above the guest's memory");
  }
}

/// As PciComplex has it.
FunctionPlace place_of(const Function& function, const std::vector<Function>& functions,
                       const std::vector<PlannedPort>& ports) {
  const HostFunction& place = function.place;
  const auto port = std::find_if(ports.begin(), ports.end(), [&place](const PlannedPort& each) {
    return each.number == place.port;
  });
  std::vector<FunctionBehind> behind;
  for (const Function& other : functions) {
    if (other.place.port == place.port) {
      behind.push_back({other.place, other.facts});
    }
  }
  const auto& facts = function.facts;
  return {.multi_function = port != ports.end() && port->is_multi_function(place),
          .link = link_capability_of(behind),
          .hide_function_reset = hides_function_reset(
              find_reset_policy(facts.ids.vendor, facts.ids.device, facts.class_code),
              place.reset.method)};
}

/// How the guest's view of configuration space differs from the hardware's, and why.
Status describe_patches(const std::vector<Function>& functions,
                        const std::vector<PlannedPort>& ports, InspectNode& node) {
  for (const Function& function : functions) {
    describe_coherent(function.place, node);
    if (!function.sysfs->shows_capabilities()) {
      continue;
    }
    const auto plan =
        TRY(FunctionPlan::create(function.place.name(), function.facts, function.place.view,
                                 place_of(function, functions, ports)));
    auto& child = node.child(function.place.name());
    describe_quirks(function.facts.config, function.place.view.quirks, child.child("quirks"));
    TRY(describe_msix(function, plan, child));
    plan.patch.inspect(child.child("configuration_patch"));
  }
  return {};
}

std::string owners_of_hot_reset(const HostSystem& host, const ResetSet& set) {
  std::string text;
  for (const HotResetMember& member : set.hot_members) {
    bool is_ours = false;
    for (const PlannedFunction& function : set.functions) {
      is_ours = is_ours || function.device->name() == member.name();
    }
    const auto driver = host.link_name(pci_sysfs_path(member.bdf, "driver"));
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", member.name(),
                        is_ours ? "the guest's" : driver.value_or("no driver"));
  }
  return text;
}

void describe_set(const HostSystem& host, const ResetSet& set, InspectNode& node) {
  node.field("hot_reset_owners", owners_of_hot_reset(host, set));
  if (set.rungs.empty()) {
    node.field("at_start", "exit status 75: no safe reset is known");
    return;
  }
  const std::string method = method_text(set);
  node.field("at_start", fmt::format("{}; rest {} ms; check; where that fails, exit status 75",
                                     method, set.settle.count()));
  node.field("at_guest_reboot", "the same; memory stays pinned, files stay open");
  node.field("at_stop",
             "the same; then back to the host driver, unless it fails: then it stays "
             "with vfio-pci, marked as dirty");
  node.field("after_a_crash",
             "dirty: the next run, gpuvm reset or gpuvm unbind begin with the same");
}

/// What a guest's reset of the bus behind each port becomes.
Status describe_ports(SysfsHost& bus, std::vector<Function>& functions, InspectNode& node) {
  for (std::uint8_t port = 0; port < kRootPorts; ++port) {
    std::vector<PhysicalDevice*> devices;
    std::vector<FunctionResetOptions> options;
    for (Function& function : functions) {
      if (function.place.port == port) {
        devices.push_back(function.sysfs.get());
        options.push_back(function.place.reset);
      }
    }
    if (devices.empty()) {
      continue;
    }
    const auto plan = TRY(ResetPlan::create(bus, devices, {}, options));
    for (const ResetSet& set : plan.sets()) {
      node.child(fmt::format("root_port_{}", port))
          .field(set.names(),
                 set.rungs.empty() ? "gone until the guest reboots" : method_text(set));
    }
  }
  return {};
}

/// What it is and how it is reset, its server alone knows.
void describe_remote(const HostFunction& place, InspectNode& node) {
  node.field("guest_address", fmt::format("root port {}, function {}", place.port, place.function));
  node.field("server", "by vfio-user; it is asked when the guest starts");
}

/// The functions' part of preview_machine().
Status describe_functions(const HostSystem& host, const std::vector<HostFunction>& places,
                          std::vector<Finding>& findings, InspectNode& node) {
  std::vector<Function> functions;
  std::vector<PhysicalDevice*> devices;
  std::vector<FunctionResetOptions> options;
  for (const HostFunction& place : places) {
    if (place.is_remote()) {
      describe_remote(place, node.child("functions").child(place.name()));
      continue;
    }
    auto sysfs = TRY(SysfsFunction::open(host, place.host));
    auto facts = sysfs_facts(host, sysfs->device(), sysfs->has_function_reset());
    TRY(take_bar_size(facts, host, place.host, place.bar_size));
    functions.push_back({place, std::move(sysfs), std::move(facts)});
    devices.push_back(functions.back().sysfs.get());
    options.push_back(place.reset);
    describe_function(host, functions.back(), node.child("functions").child(place.name()));
    findings.push_back(
        {"opening", check_open_is_safe(host, place.host, place.reset.method), place.name()});
  }
  if (functions.empty()) {
    return {};
  }
  TRY(describe_patches(functions, plan_ports(pointers_to(places)), node.child("functions")));
  SysfsHost bus(host);
  const auto plan = TRY(ResetPlan::create(bus, devices, {}, options));
  InspectNode& resets = node.child("resets");
  plan.inspect(resets);
  for (const ResetSet& set : plan.sets()) {
    describe_set(host, set, resets.child(set.names()));
    findings.push_back(
        {"reset", check_has_reset(set), set.names(), set.note.empty() ? set.warning : set.note});
  }
  return describe_ports(bus, functions, node.child("at_guest_bus_reset"));
}

}  // namespace

Result<std::vector<Finding>> preview_machine(const HostSystem& host, const Config& config,
                                             InspectNode& node) {
  describe_machine_itself(config, node);
  if (!config.machine.attachable.empty()) {
    describe_attachable(host, config.machine, node.child("attachable"));
  }
  auto found = find_functions(host, config.pci);
  auto findings = std::move(found.findings);
  auto checked = check_start(host, config, found.functions);
  std::move(checked.begin(), checked.end(), std::back_inserter(findings));
  TRY(describe_functions(host, found.functions, findings, node));
  describe_checks(findings, node.child("checks"));
  return findings;
}

}  // namespace gpuvm
