// SPDX-License-Identifier: Apache-2.0
// One function of a report as JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "vmm/machine/report_file/config_text.hpp"
#include "vmm/machine/report_file/names.hpp"
#include "vmm/machine/report_file/report_json.hpp"

namespace gpuvm {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson link_json(const PciLink& link) {
  return {{"speed", link.speed},
          {"width", link.width},
          {"max_speed", link.max_speed},
          {"max_width", link.max_width}};
}

void add_ids(const PciIds& ids, bool with_subsystem, OrderedJson& json) {
  json["vendor"] = hex_text(ids.vendor, 4);
  json["device"] = hex_text(ids.device, 4);
  if (with_subsystem) {
    json["subsystem_vendor"] = hex_text(ids.subsystem_vendor, 4);
    json["subsystem_device"] = hex_text(ids.subsystem_device, 4);
  }
  json["class"] = hex_text(ids.class_code, 6);
}

OrderedJson config_json(const RecordedConfig& config) {
  OrderedJson zeroed = OrderedJson::array();
  for (const ZeroedArea& area : config.zeroed) {
    zeroed.push_back(
        {{"offset", hex_text(area.offset, 3)}, {"size", area.size}, {"reason", area.reason}});
  }
  return {{"size", config.bytes.size()},
          {"zeroed", std::move(zeroed)},
          {"lines", config_lines(config.bytes, false)}};
}

OrderedJson hot_reset_json(const RecordedHotReset& hot_reset) {
  OrderedJson members = OrderedJson::array();
  for (const HotResetMember& member : hot_reset.members) {
    members.push_back({{"address", member.bdf.to_string()}, {"iommu_group", member.group}});
  }
  return {{"obstacle", hot_reset.obstacle}, {"members", std::move(members)}};
}

OrderedJson group_json(const RecordedGroup& group) {
  OrderedJson members = OrderedJson::array();
  for (const RecordedMember& member : group.members) {
    OrderedJson entry = {{"address", member.address.to_string()}};
    add_ids(member.ids, false, entry);
    entry["driver"] = member.driver;
    members.push_back(std::move(entry));
  }
  return {{"number", group.number},
          {"type", group.type},
          {"reserved_regions", group.reserved_regions},
          {"members", std::move(members)}};
}

OrderedJson ports_json(const std::vector<RecordedPort>& ports) {
  OrderedJson all = OrderedJson::array();
  for (const RecordedPort& port : ports) {
    OrderedJson entry = {{"address", port.address.to_string()}};
    add_ids(port.ids, false, entry);
    entry["link"] = link_json(port.link);
    all.push_back(std::move(entry));
  }
  return all;
}

OrderedJson bars_json(const std::vector<PciBar>& bars) {
  OrderedJson all = OrderedJson::array();
  for (const PciBar& bar : bars) {
    all.push_back({{"index", bar.index},
                   {"kind", bar_kind_name(bar)},
                   {"prefetchable", bar.prefetchable},
                   {"size", bar.size},
                   {"address", hex_text(bar.address, 1)}});
  }
  return all;
}

OrderedJson regions_json(const std::vector<RecordedRegion>& regions) {
  OrderedJson all = OrderedJson::array();
  for (const auto& [index, info] : regions) {
    OrderedJson areas = OrderedJson::array();
    for (const RegionArea& area : info.sparse_areas) {
      areas.push_back({{"offset", hex_text(area.offset, 1)}, {"size", area.size}});
    }
    OrderedJson entry = {{"index", static_cast<std::uint32_t>(index)},
                         {"name", region_name(index)},
                         {"size", info.size},
                         {"readable", info.readable},
                         {"writable", info.writable},
                         {"mappable", info.mappable},
                         {"msix_mappable", info.msix_mappable},
                         {"capabilities", info.capabilities},
                         {"sparse_areas", std::move(areas)}};
    if (info.type) {
      entry["type"] = hex_text(info.type->type, 8);
      entry["subtype"] = hex_text(info.type->subtype, 8);
    }
    all.push_back(std::move(entry));
  }
  return all;
}

OrderedJson irqs_json(const std::array<IrqInfo, kIrqTypes>& irqs) {
  OrderedJson all = OrderedJson::object();
  for (std::size_t type = 0; type < irqs.size(); ++type) {
    const IrqInfo& info = irqs.at(type);
    all[std::string(kIrqNames.at(type))] = {
        {"count", info.count}, {"maskable", info.maskable}, {"flags", hex_text(info.flags, 1)}};
  }
  return all;
}

OrderedJson vfio_json(const VfioRecord& vfio) {
  return {{"flags", hex_text(vfio.answer.flags, 1)},
          {"capabilities", vfio.answer.capabilities},
          {"has_function_reset", vfio.has_function_reset},
          {"atomic_completers", hex_text(vfio.atomic_completers, 1)},
          {"hot_reset", hot_reset_json(vfio.hot_reset)},
          {"regions", regions_json(vfio.regions)},
          {"irqs", irqs_json(vfio.irqs)},
          {"registers", registers_json(vfio.registers)},
          {"config", config_json(vfio.config)}};
}

}  // namespace

std::string hex_text(std::uint64_t value, unsigned digits) {
  return fmt::format("0x{:0{}x}", value, digits);
}

OrderedJson registers_json(const std::vector<RecordedRegister>& registers) {
  OrderedJson all = OrderedJson::array();
  for (const RecordedRegister& entry : registers) {
    OrderedJson json = {{"region", static_cast<std::uint32_t>(entry.region)},
                        {"offset", hex_text(entry.offset, 1)},
                        {"meaning", entry.meaning}};
    if (entry.value) {
      json["value"] = hex_text(*entry.value, 8);
    }
    all.push_back(std::move(json));
  }
  return all;
}

OrderedJson function_json(const FunctionRecord& function) {
  OrderedJson json = {{"address", function.address.to_string()}};
  add_ids(function.ids, true, json);
  json["driver"] = function.driver;
  json["reset_methods"] = function.reset_methods;
  json["has_function_reset"] = function.has_function_reset;
  json["hot_reset"] = hot_reset_json(function.hot_reset);
  json["power_state"] = function.power_state;
  json["is_boot_vga"] = function.is_boot_vga;
  if (function.numa_node) {
    json["numa_node"] = *function.numa_node;
  }
  json["iommu"] = function.iommu;
  json["link"] = link_json(function.link);
  json["ports"] = ports_json(function.ports);
  if (function.group) {
    json["iommu_group"] = group_json(*function.group);
  }
  if (function.bars) {
    json["bars"] = bars_json(*function.bars);
  }
  json["config"] = config_json(function.config);
  if (function.vfio) {
    json["vfio"] = vfio_json(*function.vfio);
  }
  return json;
}

}  // namespace gpuvm
