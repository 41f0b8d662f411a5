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

bool is_taken(const std::vector<SlotEntry>& entries, const Bdf& address) {
  return std::any_of(entries.begin(), entries.end(), [&](const SlotEntry& entry) {
    return std::find(entry.takes.begin(), entry.takes.end(), address) != entry.takes.end();
  });
}

/// The slot, and those of the rest of its groups.
std::vector<SlotEntry> entries_for(const HostSystem& host, const HostMap& map,
                                   const MapFunction& function) {
  std::vector<SlotEntry> entries{entry_of_slot(host, map, function)};
  for (std::size_t next = 0; next < entries.size() && entries.size() <= kMostCompanionSlots;
       ++next) {
    std::set<std::uint32_t> groups;
    for (const Bdf& taken : entries[next].takes) {
      const auto* const of = map.find(taken);
      if (of != nullptr && of->group) {
        groups.insert(*of->group);
      }
    }
    for (const MapFunction& other : map.functions) {
      const bool is_near = other.group && groups.contains(*other.group);
      if (is_near && !other.stays_with_host() && !is_taken(entries, other.address)) {
        entries.push_back(entry_of_slot(host, map, other));
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

void note_obstacle(Outlook& outlook, const Status& status) {
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

/// How the set with the function would be reset, and whether every set can be.
Status plan_resets(const HostSystem& host, const std::vector<Bdf>& taken, const Bdf& wanted,
                   Outlook& outlook) {
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
    const bool has_it = std::any_of(set.functions.begin(), set.functions.end(),
                                    [&](const PlannedFunction& function) {
                                      return function.device->name() == wanted.to_string();
                                    });
    if (has_it) {
      outlook.reset = method_text(set);
      if (!set.note.empty()) {
        outlook.remarks.push_back(set.note);
      }
    }
  }
  return {};
}

void add_remarks(const HostSystem& host, const HostMap& map, const MapFunction& function,
                 Outlook& outlook) {
  for (const Bdf& bdf : taken_by(outlook.entries)) {
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

Outlook look_at_function(const HostSystem& host, const HostMap& map, std::size_t index) {
  const MapFunction& function = map.functions.at(index);
  Outlook outlook;
  if (function.stays_with_host()) {
    return outlook;
  }
  outlook.entries = entries_for(host, map, function);
  if (!map.has_iommu) {
    outlook.obstacles.emplace_back("The host has no IOMMU at work");
  }
  const auto taken = taken_by(outlook.entries);
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
  note_obstacle(outlook, plan_resets(host, taken, function.address, outlook));
  add_remarks(host, map, function, outlook);
  return outlook;
}

}  // namespace gpuvm
