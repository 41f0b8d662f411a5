// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/map_json.hpp"

#include <nlohmann/json.hpp>

#include "vmm/host_map/map_filter.hpp"

namespace gpuvm {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string id_text(std::uint32_t value, unsigned digits) {
  return fmt::format("0x{:0{}x}", value, digits);
}

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson() : OrderedJson(text);
}

OrderedJson bars_json(const MapFunction& function) {
  if (!function.bars) {
    return OrderedJson();
  }
  OrderedJson bars = OrderedJson::array();
  for (const PciBar& bar : *function.bars) {
    constexpr std::uint8_t kRomIndex = 6;
    bars.push_back({{"bar", bar.index == kRomIndex ? OrderedJson("rom") : OrderedJson(bar.index)},
                    {"size", bar.size},
                    {"io", bar.io},
                    {"64bit", bar.wide},
                    {"prefetchable", bar.prefetchable}});
  }
  return bars;
}

OrderedJson link_json(const PciLink& link) {
  if (link.width == 0) {
    return OrderedJson();
  }
  return {{"speed", link.speed},
          {"width", link.width},
          {"max_speed", link.max_speed},
          {"max_width", link.max_width}};
}

OrderedJson outlook_json(const HostMap& map, const MapFunction& function) {
  const Outlook& outlook = function.outlook;
  OrderedJson slots = OrderedJson::array();
  for (const SlotEntry& entry : outlook.entries) {
    OrderedJson takes = OrderedJson::array();
    for (const Bdf& taken : entry.takes) {
      takes.push_back(taken.to_string());
    }
    slots.push_back({{"host", entry.host.to_string()}, {"takes", std::move(takes)}});
  }
  return {{"can_be_passed", outlook.can_be_passed()},
          {"obstacles", outlook.obstacles},
          {"notes", outlook.remarks},
          {"slots", std::move(slots)},
          {"toml", text_or_null(entries_toml(map, function))}};
}

OrderedJson device_json(const HostMap& map, const MapFunction& function) {
  OrderedJson json;
  json["address"] = function.address.to_string();
  json["vendor"] = id_text(function.ids.vendor, 4);
  json["device"] = id_text(function.ids.device, 4);
  json["subsystem_vendor"] = id_text(function.ids.subsystem_vendor, 4);
  json["subsystem_device"] = id_text(function.ids.subsystem_device, 4);
  json["class"] = id_text(function.ids.class_code, 6);
  json["revision"] = id_text(function.revision, 2);
  json["class_name"] = function.class_name;
  json["name"] = function.device_name;
  json["is_gpu"] = function.is_gpu();
  json["driver"] = function.driver ? OrderedJson(*function.driver) : OrderedJson();
  json["owner"] = text_or_null(function.owner);
  json["dirty"] = text_or_null(function.dirty);
  json["kernel_resets"] = function.kernel_resets;
  json["reset"] = text_or_null(function.outlook.reset);
  json["bars"] = bars_json(function);
  json["numa_node"] = function.numa_node ? OrderedJson(*function.numa_node) : OrderedJson();
  json["link"] = link_json(function.link);
  json["power_state"] = function.power_state;
  json["boot_display"] = function.is_boot_display;
  json["verdict"] = function.stays_with_host() ? OrderedJson() : outlook_json(map, function);
  return json;
}

}  // namespace

std::string map_json(const HostMap& map, MapFilter filter) {
  OrderedJson groups = OrderedJson::array();
  for (const MapGroup& group : shown_groups(map, filter)) {
    OrderedJson functions = OrderedJson::array();
    for (const std::size_t index : group.functions) {
      functions.push_back(device_json(map, map.functions.at(index)));
    }
    groups.push_back({{"group", group.number ? OrderedJson(*group.number) : OrderedJson()},
                      {"functions", std::move(functions)}});
  }
  OrderedJson document;
  document["iommu"] = map.has_iommu;
  document["remarks"] = map.remarks;
  document["groups"] = std::move(groups);
  return document.dump(1, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

}  // namespace gpuvm
