// SPDX-License-Identifier: Apache-2.0
// What a user wants to know of a device before a guest has it, beside what a start is refused for:
// a table of checks for each function.
#include <algorithm>
#include <array>
#include <optional>

#include "devices/physical/reset/reset_policy.hpp"
#include "vmm/check/check.hpp"
#include "vmm/check/host_facts.hpp"
#include "vmm/host/bar_claims.hpp"
#include "vmm/host/bar_resize.hpp"
#include "vmm/host/device_use.hpp"
#include "vmm/host/numa.hpp"
#include "vmm/host/vfio_driver.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {
namespace {

constexpr std::uint8_t kRomIndex = 6;
constexpr std::uint32_t kVga = 0x0300;  // base class and sub-class

CheckLine fine(std::string text) {
  return {.text = std::move(text)};
}

CheckLine noted(std::string text, std::string why, std::string cure) {
  return {.level = CheckLevel::kWarn,
          .text = std::move(text),
          .why = std::move(why),
          .cure = std::move(cure)};
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) {
    all += (all.empty() ? "" : "; ") + text;
  }
  return all;
}

/// "vfio-pci.ids=10de:1b80,10de:10f0" of all functions that come along.
std::string ids_argument(const CheckSubject& subject, const MapFunction& function) {
  std::string ids;
  const auto& entries = function.outlook.entries;
  for (const Bdf& bdf : entries.empty() ? std::vector<Bdf>() : entries.front().takes) {
    if (const MapFunction* const other = subject.map.find(bdf)) {
      ids += fmt::format("{}{:04x}:{:04x}", ids.empty() ? "" : ",", other->ids.vendor,
                         other->ids.device);
    }
  }
  return "vfio-pci.ids=" + ids;
}

std::optional<CheckLine> look_at_owner(const CheckSubject&, const MapFunction& function) {
  if (!function.owner.empty()) {
    CheckLine line = noted(fmt::format("it belongs to {}", function.owner),
                           "A function has one owner at a time", "stop that first");
    line.level = CheckLevel::kFail;
    return line;
  }
  if (!function.dirty.empty()) {
    return noted(fmt::format("it is dirty: {}", function.dirty),
                 "A guest had it, and no verified reset has followed",
                 fmt::format("`gpuvm reset {}`; the next run begins with the same",
                             function.address.to_string()));
  }
  return fine("no guest has it");
}

std::optional<CheckLine> look_at_driver(const CheckSubject& subject, const MapFunction& function) {
  if (!function.driver) {
    return fine("no driver has it");
  }
  if (is_with_vfio(subject.host, function.address)) {
    return fine(fmt::format("{} has it already", *function.driver));
  }
  const auto forced = subject.host.read(pci_sysfs_path(function.address, "driver_override"));
  if (forced && is_vfio_driver(*forced)) {
    return noted(
        fmt::format("{} has it, though driver_override says {}", *function.driver, *forced),
        "An override (driverctl) counts when a function is bound the next time",
        fmt::format("`echo {0} >/sys/bus/pci/devices/{0}/driver/unbind`, `echo {0} "
                    ">/sys/bus/pci/drivers_probe`",
                    function.address.to_string()));
  }
  // What keeps it beside what the check "device" refuses.
  auto suspects = find_suspects(subject.host, function.address, *function.driver);
  const auto uses = find_uses(subject.host, function.address);
  std::erase_if(suspects, [&](const std::string& suspect) {
    const bool is_others = suspect.starts_with("a console") && !function.is_boot_display;
    return is_others || std::find(uses.begin(), uses.end(), suspect) != uses.end();
  });
  if (suspects.empty() || !function.is_gpu()) {
    return fine(
        fmt::format("{} has it; gpuvm takes it for the run and gives it back", *function.driver));
  }
  const bool is_nvidia = *function.driver == "nvidia";
  return noted(
      fmt::format("{} has it, and may not let go: {}", *function.driver, joined(suspects)),
      "A driver whose device somebody has open waits for them when it is to let go, without end",
      fmt::format("{}; or keep the card from it at boot: {}",
                  is_nvidia ? "`systemctl stop nvidia-persistenced`, `modprobe -r nvidia_drm "
                              "nvidia_modeset`"
                            : "end what is named",
                  add_boot_argument(ids_argument(subject, function))));
}

std::optional<CheckLine> look_at_display(const CheckSubject& subject, const MapFunction& function) {
  if (!function.is_gpu()) {
    return std::nullopt;
  }
  if (!function.is_boot_display) {
    return fine("it is not the host's boot display");
  }
  const auto consoles = unbind_consoles(subject.host);
  const bool is_vfios = is_with_vfio(subject.host, function.address);
  return noted(
      "it is the host's boot display",
      "The host's console is gone once a guest has it, the firmware may have left its frame "
      "buffer there, and its option ROM may be a changed copy",
      fmt::format("choose another card as the primary one in the BIOS; or go without a "
                  "screen: reach the host by ssh{}, and give a clean ROM with rom = "
                  "\"FILE\" if the guest's screen stays dark",
                  consoles.empty() || is_vfios ? "" : fmt::format(", {}", consoles)));
}

std::optional<CheckLine> look_at_reset(const CheckSubject&, const MapFunction& function) {
  const auto& policy =
      find_reset_policy(function.ids.vendor, function.ids.device, function.ids.class_code);
  if (function.outlook.reset.empty()) {
    return std::nullopt;  // "reset" is a failure then
  }
  std::string kernel;
  for (const std::string& method : function.kernel_resets) {
    kernel += (kernel.empty() ? "" : " ") + method;
  }
  if (function.outlook.reset == to_string(ResetMethod::kNone)) {
    return fine(fmt::format("none; the kernel's own: {}", kernel.empty() ? "none" : kernel));
  }
  return fine(fmt::format("{}, as for \"{}\" ({}); the kernel's own: {}", function.outlook.reset,
                          policy.name, policy.reason, kernel.empty() ? "none" : kernel));
}

std::optional<CheckLine> look_at_power(const CheckSubject&, const MapFunction& function) {
  if (function.power_state == "D0" || function.power_state == "unknown") {
    return fine(function.power_state == "D0" ? "it is awake (D0)"
                                             : "the kernel does not tell its power state");
  }
  if (function.power_state != "error") {
    return fine(fmt::format("it sleeps ({}); it is woken when it is opened", function.power_state));
  }
  return noted(
      "its power state is not known: it does not answer",
      "A card that has fallen off the bus is no guest's",
      fmt::format("`gpuvm reset {}`, or a restart of the host", function.address.to_string()));
}

std::optional<CheckLine> look_at_rom(const CheckSubject& subject, const MapFunction& function) {
  if (!function.is_gpu() || !function.bars) {
    return std::nullopt;
  }
  const auto rom = std::find_if(function.bars->begin(), function.bars->end(),
                                [](const PciBar& bar) { return bar.index == kRomIndex; });
  if (rom != function.bars->end() || subject.host.exists(pci_sysfs_path(function.address, "rom"))) {
    return fine("it has an option ROM (gpuvm rom show tells what is in it)");
  }
  if (!lacks_rom(function)) {
    return fine("it has no option ROM, and no screen that would need one");
  }
  constexpr std::uint16_t kAmd = 0x1002;
  return noted(
      "it has no option ROM", "Firmware shows nothing on it, and its driver may not find the VBIOS",
      function.ids.vendor == kAmd
          ? fmt::format("`gpuvm rom dump {} FILE`, which finds AMD's in ACPI's VFCT, and rom = "
                        "\"FILE\" in its [[pci]]; else a FILE from a host where the card has one",
                        function.address.to_string())
          : "where the guest's driver asks for one: rom = \"FILE\" in its [[pci]], with a FILE "
            "from its vendor or from a host where such a card has one");
}

/// In whole MiB, or GiB where that is exact or many.
std::string about(std::uint64_t bytes) {
  constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
  constexpr std::uint64_t kMany = std::uint64_t{10} << 10;
  const std::uint64_t mib = bytes / kMib + (bytes % kMib == 0 ? 0 : 1);
  if (mib % 1024 != 0 && mib >= kMany) {
    return fmt::format("{:.1f} GiB", static_cast<double>(mib) / 1024);
  }
  return mib % 1024 == 0 && mib != 0 ? fmt::format("{} GiB", mib / 1024)
                                     : fmt::format("{} MiB", mib);
}

std::string resize_hint(const CheckSubject& subject, const MapFunction& function) {
  const auto largest = plan_bar_resize(subject.host, function.address, {});
  return largest && largest->to > largest->from
             ? fmt::format("; {} with resize_bar = \"max\"", largest->to_string())
             : std::string();
}

std::optional<CheckLine> look_at_bars(const CheckSubject& subject, const MapFunction& function) {
  if (!function.bars) {
    return std::nullopt;
  }
  std::uint64_t memory = 0;
  for (const PciBar& bar : *function.bars) {
    memory += bar.io || bar.index == kRomIndex ? 0 : bar.size;
  }
  if (memory == 0 && function.is_gpu()) {
    return noted(
        "no BAR of it has an address",
        "The host's firmware found no room for it, and nobody can use it",
        "switch on \"Above 4G Decoding\" in the BIOS; or " + add_boot_argument("pci=realloc"));
  }
  const auto bits = cpu_facts_of(subject.host).address_bits;
  if (!function.is_gpu() || !bits || *bits >= 63) {
    return std::nullopt;
  }
  // A window has room for twice what is in it (vmm/machine/pci/pci_plan.hpp).
  const std::uint64_t ram = subject.config == nullptr ? 0 : subject.config->machine.memory;
  const std::uint64_t space = std::uint64_t{1} << *bits;
  if (memory > (space - std::min(ram, space)) / 2) {
    CheckLine line = noted(
        fmt::format("its BARs of {} do not fit beside the guest's memory into {} address bits",
                    about(memory), *bits),
        "A guest has no more address bits than the host's processor",
        "a smaller BAR with resize_bar, or less memory for the guest");
    line.level = CheckLevel::kFail;
    return line;
  }
  return fine(fmt::format("BARs of {} in all, {} address bits{}", about(memory), *bits,
                          resize_hint(subject, function)));
}

bool has_node(const std::vector<NodeConfig>& nodes, unsigned node) {
  return std::any_of(nodes.begin(), nodes.end(), [node](const NodeConfig& each) {
    return !each.host_node || *each.host_node == node;
  });
}

std::optional<CheckLine> look_at_node(const CheckSubject& subject, const MapFunction& function) {
  if (numa_nodes(subject.host).size() < 2) {
    return std::nullopt;
  }
  constexpr const char* kWhy = "A device reaches memory of another node more slowly";
  if (!function.numa_node) {
    return noted("the host does not tell its NUMA node", kWhy,
                 "name the node in [[node]] or machine.pin by hand, if you know it");
  }
  const unsigned node = *function.numa_node;
  const Config* const config = subject.config;
  if (config != nullptr && !config->nodes.empty() && !has_node(config->nodes, node)) {
    return noted(
        fmt::format("it is on NUMA node {}, and no node of the guest has memory there", node), kWhy,
        fmt::format("host_node = {} in one [[node]]", node));
  }
  const auto list = subject.host.read(fmt::format("/sys/devices/system/node/node{}/cpulist", node));
  const auto near = list ? parse_number_list(*list) : std::nullopt;
  if (config != nullptr && near && !config->machine.pin.empty() &&
      std::none_of(config->machine.pin.begin(), config->machine.pin.end(), [&](unsigned cpu) {
        return std::find(near->begin(), near->end(), cpu) != near->end();
      })) {
    return noted(fmt::format("it is on NUMA node {}, and machine.pin has no CPU of it", node), kWhy,
                 fmt::format("machine.pin with CPUs of {}", *list));
  }
  return fine(fmt::format("NUMA node {}{}", node, list ? fmt::format(", CPUs {}", *list) : ""));
}

std::optional<CheckLine> look_at_link(const CheckSubject&, const MapFunction& function) {
  const PciLink& link = function.link;
  if (link.width == 0 || link.max_width == 0) {
    return std::nullopt;
  }
  if (link.width < link.max_width) {
    return noted(fmt::format("its link has {} of {} lanes", link.width, link.max_width),
                 "Copies to and from it take longer by as much",
                 function.ids.class_code >> 8 == kVga
                     ? "a slot with more lanes; else seat the card and its riser again"
                     : "a card: a slot with more lanes, else seat it and its riser again; a module "
                       "(SXM, OAM) has the lanes that its board gives it");
  }
  const bool is_slow = link.speed != link.max_speed;
  return fine(fmt::format(
      "link {} x{}{}", link.speed, link.width,
      is_slow ? fmt::format(" of {}: idle cards slow it down, drivers raise it", link.max_speed)
              : ""));
}

std::optional<CheckLine> look_at_advice(const CheckSubject& subject, const MapFunction& function) {
  const auto advice = open_advice(subject.host, function.address);
  if (advice.empty()) {
    return std::nullopt;
  }
  return noted(joined(advice), "", "");
}

struct DeviceCheck {
  const char* name;
  /// Nothing: it does not concern the function.
  std::optional<CheckLine> (*look)(const CheckSubject&, const MapFunction&);
};

constexpr std::array kDeviceChecks = {
    DeviceCheck{"owner", look_at_owner},
    DeviceCheck{"driver", look_at_driver},
    DeviceCheck{"boot_display", look_at_display},
    DeviceCheck{"reset_method", look_at_reset},
    DeviceCheck{"advice", look_at_advice},
    DeviceCheck{"power", look_at_power},
    DeviceCheck{"rom", look_at_rom},
    DeviceCheck{"bars", look_at_bars},
    DeviceCheck{"numa_node", look_at_node},
    DeviceCheck{"link", look_at_link},
};

}  // namespace

void add_device_lines(const CheckSubject& subject, const MapFunction& function, CheckLines& lines) {
  for (const DeviceCheck& check : kDeviceChecks) {
    if (auto line = check.look(subject, function)) {
      line->check = check.name;
      line->of = function.address.to_string();
      lines.push_back(*std::move(line));
    }
  }
}

}  // namespace gpuvm
