// SPDX-License-Identifier: Apache-2.0
// Whether a function could go to a guest: judged with what a start would judge with, of its slot as
// a [[pci]] entry takes it and of whatever shares its IOMMU groups.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>
#include <utility>

#include "devices/physical/reset/reset_plan.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host_map/host_map.hpp"
#include "vmm/machine/devices/host_function.hpp"
#include "vmm/machine/preview/reset_words.hpp"
#include "vmm/machine/preview/sysfs_function.hpp"

namespace gpuvm {
namespace {

/// Beyond these a group is no card's but a chipset's.
constexpr std::size_t kMostCompanionSlots = 64;

bool has_bridge(const HostMap& map, const std::vector<Bdf>& functions) {
  return std::any_of(functions.begin(), functions.end(), [&map](const Bdf& bdf) {
    const auto* const function = map.find(bdf);
    return function == nullptr || function->stays_with_host();
  });
}

/// What goes with `function` where the host needs others of the slot: what shares its group, and of
/// a GPU what is of its vendor: its audio and USB functions.
bool belongs_to(const MapFunction& function, const MapFunction& other) {
  const bool is_of_card = function.is_gpu() && other.ids.vendor == function.ids.vendor;
  const bool is_of_group = function.group && other.group == function.group;
  return other.address == function.address ||
         (other.address.same_slot(function.address) && !other.physical_function &&
          !other.stays_with_host() && (is_of_card || is_of_group));
}

/// What an entry for the slot takes: all of it, or a list.
SlotEntry entry_of_slot(const HostSystem& host, const HostMap& map, const MapFunction& function) {
  SlotEntry entry;
  entry.host = function.address;
  PciConfig config;
  config.host = function.address;
  auto all = functions_of(host, config);
  if (all && !has_bridge(map, *all)) {
    entry.takes = std::move(all).value();
    return entry;
  }
  for (const MapFunction& other : map.functions) {
    if (belongs_to(function, other)) {
      entry.functions.push_back(other.address.function);
      entry.takes.push_back(other.address);
    }
  }
  return entry;
}

/// The members of a group.
const std::vector<std::size_t>* members_of(const HostMap& map, std::uint32_t number) {
  // By number, without a group last.
  const auto found = std::lower_bound(map.groups.begin(), map.groups.end(), number,
                                      [](const MapGroup& group, std::uint32_t wanted) {
                                        return group.number && *group.number < wanted;
                                      });
  return found != map.groups.end() && found->number == number ? &found->functions : nullptr;
}

/// The slot, and those of the rest of its groups.
std::vector<SlotEntry> entries_for(const HostSystem& host, const HostMap& map,
                                   const MapFunction& function) {
  std::vector<SlotEntry> entries{entry_of_slot(host, map, function)};
  std::set<Bdf> taken(entries.front().takes.begin(), entries.front().takes.end());
  std::set<std::uint32_t> seen;
  for (std::size_t next = 0; next < entries.size() && entries.size() <= kMostCompanionSlots;
       ++next) {
    std::set<std::size_t> near;  // in the order of addresses
    for (const Bdf& each : entries[next].takes) {
      const auto* const of = map.find(each);
      const bool is_new = of != nullptr && of->group && seen.insert(*of->group).second;
      if (const auto* const members = is_new ? members_of(map, *of->group) : nullptr) {
        near.insert(members->begin(), members->end());
      }
    }
    for (const std::size_t index : near) {
      const MapFunction& other = map.functions.at(index);
      if (!other.stays_with_host() && !taken.contains(other.address)) {
        entries.push_back(entry_of_slot(host, map, other));
        taken.insert(entries.back().takes.begin(), entries.back().takes.end());
      }
    }
  }
  return entries;
}

std::vector<Bdf> taken_by(const std::vector<SlotEntry>& entries) {
  std::vector<Bdf> all;
  for (const SlotEntry& entry : entries) {
    all.insert(all.end(), entry.takes.begin(), entry.takes.end());
  }
  return all;
}

void note_obstacle(SetOutlook& outlook, const Status& status) {
  if (status) {
    return;
  }
  auto text = status.error().to_string();
  if (std::find(outlook.obstacles.begin(), outlook.obstacles.end(), text) ==
      outlook.obstacles.end()) {
    outlook.obstacles.push_back(std::move(text));
  }
}

Status check_owner(const MapFunction& function) {
  if (function.owner.empty()) {
    return {};
  }
  return fail(ErrorKind::kHost, "{} belongs to {}: stop that first", function.address.to_string(),
              function.owner);
}

/// How each function would be reset, and whether every set can be.
Status plan_resets(const HostSystem& host, const std::vector<Bdf>& taken, SetOutlook& outlook) {
  std::vector<std::unique_ptr<SysfsFunction>> functions;
  std::vector<PhysicalDevice*> devices;
  for (const Bdf& bdf : taken) {
    functions.push_back(TRY(SysfsFunction::open(host, bdf)));
    devices.push_back(functions.back().get());
  }
  SysfsHost bus(host);
  const auto plan = TRY(ResetPlan::create(bus, devices));
  for (const ResetSet& set : plan.sets()) {
    note_obstacle(outlook, check_has_reset(set));
    for (const PlannedFunction& function : set.functions) {
      outlook.resets[function.device->name()] = {method_text(set), set.note};
    }
  }
  return {};
}

void add_set_remarks(const HostSystem& host, const HostMap& map, const std::vector<Bdf>& taken,
                     SetOutlook& outlook) {
  for (const Bdf& bdf : taken) {
    for (std::string& advice : open_advice(host, bdf)) {
      outlook.remarks.push_back(std::move(advice));
    }
    const auto device = HostPciDevice::open(host, bdf);
    const auto plugged = device ? device->usb_devices() : std::vector<std::string>();
    if (!plugged.empty()) {
      outlook.remarks.push_back(fmt::format("{} is a USB controller with what is plugged in: {}",
                                            bdf.to_string(), fmt::join(plugged, " ")));
    }
    const auto* const other = map.find(bdf);
    if (other != nullptr && !other->dirty.empty()) {
      outlook.remarks.push_back(fmt::format("{} is dirty ({}): it is repaired before its next use",
                                            bdf.to_string(), other->dirty));
    }
  }
}

/// What would come of passing all of these together.
SetOutlook look_at_set(const HostSystem& host, const HostMap& map, const std::vector<Bdf>& taken) {
  SetOutlook outlook;
  for (const Bdf& bdf : taken) {
    if (const auto* const other = map.find(bdf)) {
      note_obstacle(outlook, check_owner(*other));
    }
    note_obstacle(outlook, check_device(host, bdf, true));
    note_obstacle(outlook, check_open_is_safe(host, bdf));
    if (map.has_iommu) {
      note_obstacle(outlook, check_group(host, bdf, taken));
      note_obstacle(outlook, check_group_free(host, bdf));
    }
  }
  note_obstacle(outlook, plan_resets(host, taken, outlook));
  add_set_remarks(host, map, taken, outlook);
  return outlook;
}

/// Large groups are judged once: whoever is in them takes all of them.
const SetOutlook& outlook_of_set(const HostSystem& host, const HostMap& map,
                                 const std::vector<Bdf>& taken, SetOutlooks& known) {
  constexpr std::size_t kLarge = 16;  // smaller ones are told with the function's own slot first
  std::vector<Bdf> key = taken;
  if (key.size() > kLarge) {
    std::sort(key.begin(), key.end());
  }
  const auto found = known.find(key);
  return found != known.end() ? found->second
                              : known.emplace(key, look_at_set(host, map, key)).first->second;
}

void add_remarks(const MapFunction& function, Outlook& outlook) {
  if (function.is_boot_display) {
    outlook.remarks.emplace_back(
        "The host shows its console on it: that is gone once a guest has it, and comes back with a "
        "restart of the host at the latest");
  }
  if (lacks_rom(function)) {
    outlook.remarks.emplace_back(
        "It has no option ROM of its own, like integrated graphics and laptops' GPUs: where its "
        "driver in the guest finds no VBIOS, rom = \"FILE\" gives it one (gpuvm rom dump)");
  }
}

}  // namespace

bool lacks_rom(const MapFunction& function) {
  constexpr std::uint32_t kThreeD = 0x0302;
  constexpr std::uint8_t kRomIndex = 6;
  if (!function.is_gpu() || !function.bars) {
    return false;
  }
  const auto& bars = *function.bars;
  const bool has_rom = std::any_of(bars.begin(), bars.end(),
                                   [](const PciBar& bar) { return bar.index == kRomIndex; });
  const bool has_io =
      std::any_of(bars.begin(), bars.end(), [](const PciBar& bar) { return bar.io; });
  return !has_rom && (has_io || function.ids.class_code >> 8 != kThreeD);
}

Outlook look_at_function(const HostSystem& host, const HostMap& map, std::size_t index,
                         SetOutlooks& known) {
  const MapFunction& function = map.functions.at(index);
  Outlook outlook;
  if (function.stays_with_host()) {
    return outlook;
  }
  outlook.entries = entries_for(host, map, function);
  if (!map.has_iommu) {
    outlook.obstacles.emplace_back("The host has no IOMMU at work");
  }
  const SetOutlook& set = outlook_of_set(host, map, taken_by(outlook.entries), known);
  outlook.obstacles.insert(outlook.obstacles.end(), set.obstacles.begin(), set.obstacles.end());
  if (const auto reset = set.resets.find(function.address.to_string()); reset != set.resets.end()) {
    outlook.reset = reset->second.method;
    if (!reset->second.note.empty()) {
      outlook.remarks.push_back(reset->second.note);
    }
  }
  outlook.remarks.insert(outlook.remarks.end(), set.remarks.begin(), set.remarks.end());
  add_remarks(function, outlook);
  return outlook;
}

}  // namespace gpuvm
