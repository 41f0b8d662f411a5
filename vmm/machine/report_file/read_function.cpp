// SPDX-License-Identifier: Apache-2.0
// One function of a report out of JSON.
#include <algorithm>
#include <limits>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/region_table.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/machine/report_file/config_text.hpp"
#include "vmm/machine/report_file/json_value.hpp"
#include "vmm/machine/report_file/names.hpp"
#include "vmm/machine/report_file/read_report.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostEntries = 256;
constexpr std::uint32_t kMostClass = 0xffffff;
/// Of a region; larger ones cannot be addressed by a file.
constexpr std::uint64_t kMostSize =
    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
constexpr std::uint8_t kRomBar = 6;
constexpr std::uint32_t kMostLanes = 63;

Result<PciIds> parse_ids(const JsonValue& json, bool with_subsystem) {
  PciIds ids;
  ids.vendor = TRY(json.number_of<std::uint16_t>("vendor"));
  ids.device = TRY(json.number_of<std::uint16_t>("device"));
  ids.class_code = TRY(json.number_of<std::uint32_t>("class", kMostClass));
  if (with_subsystem) {
    ids.subsystem_vendor = TRY(json.number_of<std::uint16_t>("subsystem_vendor"));
    ids.subsystem_device = TRY(json.number_of<std::uint16_t>("subsystem_device"));
  }
  return ids;
}

Result<PciLink> parse_link(const JsonValue& json) {
  PciLink link;
  link.speed = TRY(json.text_of("speed"));
  link.width = TRY(json.number_of<std::uint32_t>("width", kMostLanes));
  link.max_speed = TRY(json.text_of("max_speed"));
  link.max_width = TRY(json.number_of<std::uint32_t>("max_width", kMostLanes));
  return link;
}

Result<RecordedConfig> parse_config(const JsonValue& json) {
  RecordedConfig config;
  const auto size = TRY(json.number_of<std::uint32_t>("size", pci::kConfigSize));
  if (size % kConfigLineBytes != 0) {
    return TRY(json.member("size")).wrong("a multiple of 16");
  }
  config.bytes.resize(size);
  for (const JsonValue& line : TRY(json.items_of("lines", pci::kConfigSize / kConfigLineBytes))) {
    if (const auto status = read_config_line(TRY(line.text()), config.bytes); !status) {
      return line.wrong(status.error().message());
    }
  }
  for (const JsonValue& area : TRY(json.items_of("zeroed", kMostEntries))) {
    config.zeroed.push_back({.offset = TRY(area.number_of<std::uint16_t>("offset")),
                             .size = TRY(area.number_of<std::uint16_t>("size")),
                             .reason = TRY(area.text_of("reason"))});
  }
  return config;
}

Result<RecordedHotReset> parse_hot_reset(const JsonValue& json) {
  RecordedHotReset hot_reset{.obstacle = TRY(json.text_of("obstacle"))};
  for (const JsonValue& member : TRY(json.items_of("members", kMostEntries))) {
    hot_reset.members.push_back({.bdf = TRY(member.address_of("address")),
                                 .group = TRY(member.number_of<std::uint32_t>("iommu_group")),
                                 .device = {}});
  }
  return hot_reset;
}

Result<RecordedGroup> parse_group(const JsonValue& json) {
  RecordedGroup group;
  group.number = TRY(json.number_of<std::uint32_t>("number"));
  group.type = TRY(json.text_of("type"));
  group.reserved_regions = TRY(json.texts_of("reserved_regions", kMostEntries));
  for (const JsonValue& member : TRY(json.items_of("members", kMostEntries))) {
    group.members.push_back({.address = TRY(member.address_of("address")),
                             .ids = TRY(parse_ids(member, false)),
                             .driver = TRY(member.text_of("driver"))});
  }
  return group;
}

Result<std::vector<RecordedPort>> parse_ports(const JsonValue& json) {
  std::vector<RecordedPort> ports;
  for (const JsonValue& port : TRY(json.items(kMostEntries))) {
    RecordedPort recorded;
    recorded.address = TRY(port.address_of("address"));
    recorded.ids = TRY(parse_ids(port, false));
    recorded.link = TRY(parse_link(TRY(port.member("link"))));
    ports.push_back(std::move(recorded));
  }
  return ports;
}

Result<std::vector<PciBar>> parse_bars(const JsonValue& json) {
  std::vector<PciBar> bars;
  for (const JsonValue& entry : TRY(json.items(kRomBar + std::size_t{1}))) {
    const auto kind = TRY(entry.text_of("kind"));
    if (kind != "io" && kind != "memory32" && kind != "memory64") {
      return TRY(entry.member("kind")).wrong("io, memory32 or memory64");
    }
    bars.push_back({.index = TRY(entry.number_of<std::uint8_t>("index", kRomBar)),
                    .io = kind == "io",
                    .wide = kind == "memory64",
                    .prefetchable = TRY(entry.boolean_of("prefetchable")),
                    .size = TRY(entry.number_of<std::uint64_t>("size", kMostSize)),
                    .address = TRY(entry.number_of<std::uint64_t>("address"))});
  }
  return bars;
}

Result<RegionInfo> parse_region_of(const JsonValue& json) {
  RegionInfo info{.size = TRY(json.number_of<std::uint64_t>("size", kMostSize)),
                  .readable = TRY(json.boolean_of("readable")),
                  .writable = TRY(json.boolean_of("writable")),
                  .mappable = TRY(json.boolean_of("mappable")),
                  .msix_mappable = TRY(json.boolean_of("msix_mappable")),
                  .sparse_areas = {},
                  .capabilities = TRY(json.small_numbers_of("capabilities", kMostEntries))};
  for (const JsonValue& entry : TRY(json.items_of("sparse_areas", kMostEntries))) {
    const RegionArea area{.offset = TRY(entry.number_of<std::uint64_t>("offset")),
                          .size = TRY(entry.number_of<std::uint64_t>("size"))};
    if (!is_inside(0, info.size, area.offset, area.size)) {
      return entry.wrong(fmt::format("inside the region of {:#x} bytes", info.size));
    }
    info.sparse_areas.push_back(area);
  }
  if (const auto type = TRY(json.optional_member("type"))) {
    info.type = RegionType{.type = TRY(json.number_of<std::uint32_t>("type")),
                           .subtype = TRY(json.number_of<std::uint32_t>("subtype"))};
  }
  return info;
}

Result<std::vector<RecordedRegion>> parse_regions(const JsonValue& json) {
  std::vector<RecordedRegion> regions;
  for (const JsonValue& entry : TRY(json.items(RegionTable::kMostRegions))) {
    const auto index = TRY(entry.number_of<std::uint32_t>("index", RegionTable::kMostRegions - 1));
    if (!regions.empty() && static_cast<std::uint32_t>(regions.back().index) >= index) {
      return TRY(entry.member("index")).wrong("more than the one before it");
    }
    regions.push_back(
        {.index = static_cast<RegionIndex>(index), .info = TRY(parse_region_of(entry))});
  }
  return regions;
}

Result<std::array<IrqInfo, kIrqTypes>> parse_irqs(const JsonValue& json) {
  std::array<IrqInfo, kIrqTypes> irqs;
  for (std::size_t type = 0; type < irqs.size(); ++type) {
    const auto entry = TRY(json.member(kIrqNames.at(type).data()));
    irqs.at(type) = {.count = TRY(entry.number_of<std::uint32_t>("count", pci::kMaxMsixVectors)),
                     .maskable = TRY(entry.boolean_of("maskable")),
                     .flags = TRY(entry.number_of<std::uint32_t>("flags"))};
  }
  return irqs;
}

// Each member by itself, here and elsewhere: clang 14 does not destroy the members of an aggregate
// when a later one's TRY returns.
Result<VfioRecord> parse_vfio(const JsonValue& json) {
  VfioRecord vfio;
  vfio.answer.flags = TRY(json.number_of<std::uint32_t>("flags"));
  vfio.answer.capabilities = TRY(json.small_numbers_of("capabilities", kMostEntries));
  vfio.has_function_reset = TRY(json.boolean_of("has_function_reset"));
  vfio.atomic_completers = TRY(json.number_of<std::uint32_t>("atomic_completers"));
  vfio.hot_reset = TRY(parse_hot_reset(TRY(json.member("hot_reset"))));
  vfio.regions = TRY(parse_regions(TRY(json.member("regions"))));
  vfio.irqs = TRY(parse_irqs(TRY(json.member("irqs"))));
  vfio.registers = TRY(parse_registers(TRY(json.member("registers"))));
  vfio.config = TRY(parse_config(TRY(json.member("config"))));
  return vfio;
}

/// What stands by itself in the object.
Status parse_attributes(const JsonValue& json, FunctionRecord& function) {
  function.address = TRY(json.address_of("address"));
  function.ids = TRY(parse_ids(json, true));
  function.driver = TRY(json.text_of("driver"));
  function.reset_methods = TRY(json.texts_of("reset_methods", kMostEntries));
  function.has_function_reset = TRY(json.boolean_of("has_function_reset"));
  function.power_state = TRY(json.text_of("power_state"));
  function.is_boot_vga = TRY(json.boolean_of("is_boot_vga"));
  if (TRY(json.optional_member("numa_node"))) {
    function.numa_node = TRY(json.number_of<std::uint32_t>("numa_node"));
  }
  function.iommu = TRY(json.text_of("iommu"));
  return {};
}

}  // namespace

Result<std::vector<RecordedRegister>> parse_registers(const JsonValue& json) {
  std::vector<RecordedRegister> registers;
  for (const JsonValue& entry : TRY(json.items(kMostEntries))) {
    RecordedRegister recorded{.region = static_cast<RegionIndex>(TRY(entry.number_of<std::uint32_t>(
                                  "region", RegionTable::kMostRegions - 1))),
                              .offset = TRY(entry.number_of<std::uint32_t>("offset")),
                              .meaning = TRY(entry.text_of("meaning"))};
    if (TRY(entry.optional_member("value"))) {
      recorded.value = TRY(entry.number_of<std::uint32_t>("value"));
    }
    registers.push_back(std::move(recorded));
  }
  return registers;
}

Result<FunctionRecord> parse_function(const JsonValue& json) {
  FunctionRecord function;
  TRY(parse_attributes(json, function));
  function.hot_reset = TRY(parse_hot_reset(TRY(json.member("hot_reset"))));
  function.link = TRY(parse_link(TRY(json.member("link"))));
  function.ports = TRY(parse_ports(TRY(json.member("ports"))));
  if (const auto group = TRY(json.optional_member("iommu_group"))) {
    function.group = TRY(parse_group(*group));
  }
  if (const auto bars = TRY(json.optional_member("bars"))) {
    function.bars = TRY(parse_bars(*bars));
  }
  function.config = TRY(parse_config(TRY(json.member("config"))));
  if (const auto vfio = TRY(json.optional_member("vfio"))) {
    function.vfio = TRY(parse_vfio(*vfio));
  }
  return function;
}

}  // namespace gpuvm
