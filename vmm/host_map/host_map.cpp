// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/host_map.hpp"

#include <algorithm>
#include <map>

#include "vmm/host/device_claim.hpp"

namespace gpuvm {
namespace {

// Class codes, base class and sub-class (PCI Code and ID Assignment Specification).
constexpr std::uint32_t kHostBridge = 0x0600;
constexpr std::uint32_t kIsaBridge = 0x0601;
constexpr std::uint32_t kPciBridge = 0x0604;
constexpr std::uint32_t kSmbus = 0x0c05;
constexpr std::uint32_t kAccelerator = 0x1200;
constexpr std::uint32_t kEncryption = 0x1080;
constexpr std::uint16_t kAmdProcessors = 0x1022;
constexpr std::uint32_t kDisplayBase = 0x03;
constexpr std::uint32_t kMemoryBase = 0x05;
constexpr std::uint32_t kSystemBase = 0x08;
constexpr std::uint32_t kDummyBase = 0x13;

void note_owner(const HostSystem& host, MapFunction& function) {
  const auto record = read_device_record(host, function.address);
  if (!record) {
    return;
  }
  function.dirty = record->dirty;
  // The name in the file stays where a function is dirty, though its owner is gone.
  const bool is_gone = !record->dirty.empty() && host.exists("/proc/self/status") &&
                       !host.exists(fmt::format("/proc/{}", record->pid));
  if (!is_gone && record->pid != 0) {
    function.owner = fmt::format("{} (gpuvm, pid {})", record->owner, record->pid);
  }
}

Result<MapFunction> gather_map_function(const HostSystem& host, const Bdf& bdf,
                                        const PciNames& names) {
  const auto device = TRY(HostPciDevice::open(host, bdf));
  MapFunction function;
  function.address = bdf;
  function.power_state = device.power_state();  // first, while nothing has woken it
  function.ids = device.ids();
  function.revision =
      static_cast<std::uint8_t>(host.read_number(pci_sysfs_path(bdf, "revision")).value_or(0));
  function.class_name = names.class_name(device.ids().class_code);
  function.device_name = names.device_name(device.ids());
  function.driver = device.driver();
  function.kernel_resets = device.reset_methods();
  if (auto bars = device.bars()) {
    function.bars = std::move(bars).value();
  }
  function.numa_node = device.numa_node();
  function.link = device.link();
  function.is_boot_display = device.is_boot_vga();
  function.group = device.iommu_group();
  function.physical_function = device.physical_function();
  note_owner(host, function);
  return function;
}

std::vector<MapGroup> groups_of(const std::vector<MapFunction>& functions) {
  std::map<std::uint32_t, MapGroup> numbered;
  MapGroup without;
  for (std::size_t i = 0; i < functions.size(); ++i) {
    const auto number = functions[i].group;
    MapGroup& group = number ? numbered[*number] : without;
    group.number = number;
    group.functions.push_back(i);
  }
  std::vector<MapGroup> groups;
  for (auto& [number, group] : numbered) {
    groups.push_back(std::move(group));
  }
  if (!without.functions.empty()) {
    groups.push_back(std::move(without));
  }
  return groups;
}

}  // namespace

bool MapFunction::is_gpu() const {
  return ids.class_code >> 16 == kDisplayBase || ids.class_code >> 8 == kAccelerator;
}

bool MapFunction::stays_with_host() const {
  const std::uint32_t base = ids.class_code >> 16;
  const std::uint32_t sub = ids.class_code >> 8;
  const bool is_security_processor = sub == kEncryption && ids.vendor == kAmdProcessors;
  return is_security_processor || sub == kHostBridge || sub == kIsaBridge || sub == kPciBridge ||
         sub == kSmbus || base == kMemoryBase || base == kSystemBase || base == kDummyBase;
}

const MapFunction* HostMap::find(const Bdf& address) const {
  const auto found = std::lower_bound(
      functions.begin(), functions.end(), address,
      [](const MapFunction& each, const Bdf& wanted) { return each.address < wanted; });
  return found == functions.end() || found->address != address ? nullptr : &*found;
}

std::string HostMap::short_address(const Bdf& address) const {
  constexpr std::size_t kSegmentText = 5;  // "0000:"
  const auto text = address.to_string();
  return has_segments ? text : text.substr(kSegmentText);
}

Result<HostMap> gather_host_map(const HostSystem& host, const PciNames& names) {
  HostMap map;
  map.has_names = !names.is_empty();
  map.has_iommu = !host.list("/sys/kernel/iommu_groups").empty();
  for (const std::string& name : host.list("/sys/bus/pci/devices")) {
    const auto bdf = Bdf::parse(name);
    if (!bdf || bdf->to_string() != name) {
      continue;
    }
    if (map.functions.size() == kMostMapFunctions) {
      return fail(ErrorKind::kConfig, "The host has more than {} PCI functions", kMostMapFunctions);
    }
    map.functions.push_back(TRY(gather_map_function(host, *bdf, names)));
    map.has_segments = map.has_segments || bdf->segment != 0;
  }
  std::sort(map.functions.begin(), map.functions.end(),
            [](const MapFunction& a, const MapFunction& b) { return a.address < b.address; });
  map.groups = groups_of(map.functions);
  SetOutlooks known;
  for (std::size_t i = 0; i < map.functions.size(); ++i) {
    map.functions[i].outlook = look_at_function(host, map, i, known);
  }
  return map;
}

}  // namespace gpuvm
