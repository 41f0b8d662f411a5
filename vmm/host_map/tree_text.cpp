// SPDX-License-Identifier: Apache-2.0
#include <set>
#include <utility>

#include "vmm/base/text.hpp"
#include "vmm/host_map/map_filter.hpp"
#include "vmm/host_map/map_text.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kBranch = "├── ";
constexpr std::string_view kLastBranch = "└── ";
constexpr std::string_view kTrunk = "│   ";
constexpr std::string_view kNoTrunk = "    ";

std::string group_title(const HostMap& map, const MapGroup& group) {
  if (group.number) {
    return std::to_string(*group.number);
  }
  return map.has_iommu ? "no group" : "no group: the host has no IOMMU at work";
}

Bdf slot_of_function(Bdf address) {
  address.function = 0;
  return address;
}

}  // namespace

std::vector<MapGroup> shown_groups(const HostMap& map, MapFilter filter) {
  if (filter == MapFilter::kAll) {
    return map.groups;
  }
  std::vector<MapGroup> shown;
  for (const MapGroup& group : map.groups) {
    std::set<Bdf> slots;  // with a GPU
    for (const std::size_t index : group.functions) {
      const MapFunction& function = map.functions.at(index);
      if (function.is_gpu()) {
        slots.insert(slot_of_function(function.address));
      }
    }
    MapGroup of_gpus{.number = group.number, .functions = group.functions};
    if (!group.number) {
      std::erase_if(of_gpus.functions, [&](std::size_t index) {
        return !slots.contains(slot_of_function(map.functions.at(index).address));
      });
    }
    if (!slots.empty()) {
      shown.push_back(std::move(of_gpus));
    }
  }
  return shown;
}

std::string function_line(const HostMap& map, const MapFunction& function) {
  const PciIds& ids = function.ids;
  const std::string revision =
      function.revision == 0 ? std::string() : fmt::format(" (rev {:02x})", function.revision);
  return fmt::format("{} {} [{:04x}]: {} [{:04x}:{:04x}]{}", map.short_address(function.address),
                     function.class_name, ids.class_code >> 8, function.device_name, ids.vendor,
                     ids.device, revision);
}

std::string tree_text(const HostMap& map, MapFilter filter) {
  std::string text = "IOMMU\n";
  const auto groups = shown_groups(map, filter);
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const bool is_last_group = i + 1 == groups.size();
    const auto& functions = groups[i].functions;
    text +=
        fmt::format("{}{}\n", is_last_group ? kLastBranch : kBranch, group_title(map, groups[i]));
    for (std::size_t j = 0; j < functions.size(); ++j) {
      text += fmt::format("{}{}{}\n", is_last_group ? kNoTrunk : kTrunk,
                          j + 1 == functions.size() ? kLastBranch : kBranch,
                          function_line(map, map.functions.at(functions[j])));
    }
  }
  return terminal_text(text);
}

}  // namespace gpuvm
