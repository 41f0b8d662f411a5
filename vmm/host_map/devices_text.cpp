// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "vmm/base/text.hpp"
#include "vmm/host_map/map_filter.hpp"
#include "vmm/host_map/map_text.hpp"

namespace gpuvm {
namespace {

std::string size_text(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  std::size_t unit = 0;
  while (bytes >= 1024 && bytes % 1024 == 0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", bytes, kUnits[unit]);
}

std::string bar_text(const PciBar& bar) {
  constexpr std::uint8_t kRomIndex = 6;
  if (bar.index == kRomIndex) {
    return "ROM " + size_text(bar.size);
  }
  return fmt::format("{}: {}{}{}", bar.index, size_text(bar.size), bar.io ? " I/O" : "",
                     bar.prefetchable && !bar.io ? " prefetchable" : "");
}

std::string bars_text(const MapFunction& function) {
  if (!function.bars) {
    return "not told by sysfs";
  }
  std::vector<std::string> texts;
  for (const PciBar& bar : *function.bars) {
    texts.push_back(bar_text(bar));
  }
  return texts.empty() ? "none" : fmt::format("{}", fmt::join(texts, ", "));
}

std::string link_text(const PciLink& link) {
  if (link.width == 0) {
    return "";
  }
  return fmt::format("{} x{} (of {} x{})", link.speed, link.width, link.max_speed, link.max_width);
}

std::string owner_of(const MapFunction& function) {
  if (function.dirty.empty()) {
    return function.owner;
  }
  return fmt::format("{}{}dirty: {}", function.owner, function.owner.empty() ? "" : ", ",
                     function.dirty);
}

std::string resets_text(const MapFunction& function) {
  const std::string kernel = function.kernel_resets.empty()
                                 ? "none"
                                 : fmt::format("{}", fmt::join(function.kernel_resets, " "));
  return function.outlook.reset.empty()
             ? fmt::format("of the kernel: {}", kernel)
             : fmt::format("{} (of the kernel: {})", function.outlook.reset, kernel);
}

void add_row(std::string& text, std::string_view name, std::string_view value) {
  if (!value.empty()) {
    text += fmt::format("    {:<9}{}\n", name, value);
  }
}

std::string function_text(const HostMap& map, const MapFunction& function) {
  std::string text = fmt::format("  {}\n", function_line(map, function));
  if (function.stays_with_host()) {
    return text;
  }
  add_row(text, "driver", function.driver.value_or("none"));
  add_row(text, "owner", owner_of(function));
  add_row(text, "BARs", bars_text(function));
  add_row(text, "reset", resets_text(function));
  add_row(text, "node", function.numa_node ? std::to_string(*function.numa_node) : "");
  add_row(text, "link", link_text(function.link));
  add_row(text, "power", function.power_state == "unknown" ? "" : function.power_state);
  add_row(text, "verdict", verdict_text(function));
  for (const std::string& obstacle : function.outlook.obstacles) {
    add_row(text, "", "- " + obstacle);
  }
  for (const std::string& remark : function.outlook.remarks) {
    add_row(text, "note", remark);
  }
  return text;
}

std::string group_text(const HostMap& map, const MapGroup& group) {
  std::string text = group.number    ? fmt::format("Group {}\n", *group.number)
                     : map.has_iommu ? "No group: no IOMMU covers these\n"
                                     : "No groups: the host has no IOMMU at work\n";
  for (const std::size_t index : group.functions) {
    text += function_text(map, map.functions.at(index));
  }
  return text + "\n";
}

/// "0000:08:00.1" and so on: what comes along.
std::vector<std::string> companions_of(const SlotEntry& entry) {
  std::vector<std::string> names;
  for (const Bdf& taken : entry.takes) {
    if (taken != entry.host) {
      names.push_back(taken.to_string());
    }
  }
  return names;
}

std::string entry_toml(const HostMap& map, const SlotEntry& entry) {
  const MapFunction* const function = map.find(entry.host);
  std::string text = "[[pci]]\n";
  text += fmt::format("host = \"{}\"  # {}\n", entry.host.to_string(),
                      function == nullptr ? "" : function->device_name);
  const auto companions = companions_of(entry);
  if (!entry.functions.empty()) {
    text += fmt::format("functions = [{}]  # the host needs the others of the slot\n",
                        fmt::join(entry.functions, ", "));
  } else if (!companions.empty()) {
    text += fmt::format("# with {}, of the same slot\n", fmt::join(companions, ", "));
  }
  return text;
}

/// A card of which every other function comes along with another one is told once.
std::string entries_text(const HostMap& map, MapFilter filter) {
  std::string text;
  std::vector<Bdf> told;
  for (const MapGroup& group : shown_groups(map, filter)) {
    for (const std::size_t index : group.functions) {
      const MapFunction& function = map.functions.at(index);
      const bool is_told = std::find(told.begin(), told.end(), function.address) != told.end();
      if (!function.is_gpu() || function.outlook.entries.empty() || is_told) {
        continue;
      }
      const auto& taken = function.outlook.entries.front().takes;
      told.insert(told.end(), taken.begin(), taken.end());
      text += fmt::format("# {}: {}\n{}\n", function.address.to_string(), verdict_text(function),
                          entries_toml(map, function));
    }
  }
  return text.empty() ? "The host has no GPU.\n" : "For the configuration of a guest:\n\n" + text;
}

}  // namespace

std::string verdict_text(const MapFunction& function) {
  const Outlook& outlook = function.outlook;
  if (outlook.entries.empty()) {
    return "stays with the host";
  }
  if (!outlook.obstacles.empty()) {
    return "cannot be passed now";
  }
  const std::size_t slots = outlook.entries.size();
  return slots == 1 ? "can be passed"
                    : fmt::format("can be passed, with {} other slot{} of its IOMMU group",
                                  slots - 1, slots == 2 ? "" : "s");
}

std::string entries_toml(const HostMap& map, const MapFunction& function) {
  std::string text;
  for (const SlotEntry& entry : function.outlook.entries) {
    text += (text.empty() ? "" : "\n# shares its IOMMU group\n") + entry_toml(map, entry);
  }
  return text;
}

std::string devices_text(const HostMap& map, MapFilter filter) {
  std::string text;
  for (const std::string& remark : map.remarks) {
    text += fmt::format("# {}\n", remark);
  }
  for (const MapGroup& group : shown_groups(map, filter)) {
    text += group_text(map, group);
  }
  return terminal_text(text + entries_text(map, filter));
}

}  // namespace gpuvm
