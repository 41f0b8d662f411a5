// SPDX-License-Identifier: Apache-2.0
// One function as sysfs shows it, and as VFIO does.
#include <algorithm>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "devices/physical/region_table.hpp"
#include "devices/physical/reset/function_check.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/host/iommu_group.hpp"
#include "vmm/machine/preview/sysfs_function.hpp"
#include "vmm/machine/report/gather_report.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostPorts = 32;
constexpr std::size_t kMostMembers = 256;

std::string text_of(const HostSystem& host, const PrivateText& texts, const std::string& path) {
  const auto text = host.read(path);
  return text ? texts.clean(*text) : "";
}

PciLink clean_link(const PciLink& link, const PrivateText& texts) {
  return {.speed = texts.clean(link.speed),
          .width = link.width,
          .max_speed = texts.clean(link.max_speed),
          .max_width = link.max_width};
}

/// The bridges of the function's place in the tree, such as
/// "../../../devices/pci0000:00/0000:00:02.0/0000:01:00.0".
std::vector<RecordedPort> ports_above(const HostSystem& host, const Bdf& bdf,
                                      const PrivateText& texts) {
  std::string place = host.link_text(pci_sysfs_path(bdf)).value_or("");
  std::vector<RecordedPort> ports;
  for (auto slash = place.rfind('/'); slash != std::string::npos && ports.size() < kMostPorts;
       slash = place.rfind('/')) {
    place.resize(slash);
    const auto begin = place.rfind('/');
    const auto address =
        Bdf::parse(std::string_view(place).substr(begin == std::string::npos ? 0 : begin + 1));
    const auto port = address ? std::optional(HostPciDevice::open(host, *address)) : std::nullopt;
    if (!port || !*port) {
      break;
    }
    ports.push_back(
        {.address = *address, .ids = (*port)->ids(), .link = clean_link((*port)->link(), texts)});
  }
  return ports;
}

std::optional<RecordedGroup> group_of_function(const HostSystem& host, const Bdf& bdf,
                                               const PrivateText& texts) {
  const auto group = IommuGroup::of(host, bdf);
  if (!group) {
    return std::nullopt;
  }
  const std::string folder = fmt::format("/sys/kernel/iommu_groups/{}", group->number());
  RecordedGroup recorded{.number = group->number(), .type = text_of(host, texts, folder + "/type")};
  std::string regions;
  if (auto text = host.read(folder + "/reserved_regions")) {
    regions = std::move(text).value();
  }
  for (std::size_t at = 0;
       at < regions.size() && recorded.reserved_regions.size() < kMostMembers;) {
    const auto end = std::min(regions.find('\n', at), regions.size());
    recorded.reserved_regions.push_back(texts.clean(regions.substr(at, end - at)));
    at = end + 1;
  }
  for (const Bdf& member : group->members()) {
    const auto device = HostPciDevice::open(host, member);
    if (device && recorded.members.size() < kMostMembers) {
      recorded.members.push_back({.address = member,
                                  .ids = device->ids(),
                                  .driver = texts.clean(device->driver().value_or(""))});
    }
  }
  return recorded;
}

RecordedHotReset hot_reset_of(PhysicalHost& host, PhysicalDevice& device,
                              const PrivateText& texts) {
  auto members = host.hot_reset_set(device);
  if (!members) {
    return {.obstacle = texts.clean(members.error().to_string())};
  }
  members->resize(std::min(members->size(), kMostMembers));
  return {.members = std::move(members).value()};
}

std::vector<std::byte> opened_config(PhysicalDevice& device) {
  if (auto config = read_physical_config(device)) {
    return std::move(config).value();
  }
  return {};
}

/// Before a reset; empty where the function does not answer.
std::vector<RecordedRegister> check_registers_of(PhysicalDevice& device) {
  const auto state = read_function_state(device);
  if (!state) {
    return {};
  }
  std::vector<RecordedRegister> registers;
  for (const RegisterValue& entry : read_check_registers(
           device, *state, find_reset_policy(state->vendor, state->device, state->class_code))) {
    registers.push_back({.region = entry.check->region,
                         .offset = entry.check->offset,
                         .value = entry.value,
                         .meaning = std::string(entry.check->meaning)});
  }
  return registers;
}

void keep_attributes(const HostSystem& host, const HostPciDevice& device, const PrivateText& texts,
                     FunctionRecord& record) {
  for (const std::string& method : device.reset_methods()) {
    record.reset_methods.push_back(texts.clean(method));
  }
  record.driver = texts.clean(device.driver().value_or(""));
  record.power_state = texts.clean(device.power_state());
  record.is_boot_vga = device.is_boot_vga();
  record.numa_node = device.numa_node();
  record.iommu = texts.clean(host.link_name(pci_sysfs_path(device.bdf(), "iommu")).value_or(""));
  record.link = clean_link(device.link(), texts);
  if (auto bars = device.bars()) {
    record.bars = std::move(bars).value();
  }
}

}  // namespace

Result<FunctionRecord> gather_function(const HostSystem& host, const Bdf& bdf,
                                       const PrivateText& texts) {
  // First, while nothing has woken it.
  const auto device = TRY(HostPciDevice::open(host, bdf));
  if (device.is_bridge()) {
    return fail(ErrorKind::kConfig,
                "{} is a PCI bridge, which stays with the host: name the function behind it",
                bdf.to_string());
  }
  FunctionRecord record{.address = bdf, .ids = device.ids()};
  keep_attributes(host, device, texts, record);
  record.ports = ports_above(host, bdf, texts);
  record.group = group_of_function(host, bdf, texts);
  const auto function = TRY(SysfsFunction::open(host, bdf));
  SysfsHost bus(host);
  record.has_function_reset = function->has_function_reset();
  record.hot_reset = hot_reset_of(bus, *function, texts);
  record.config =
      without_serial_numbers(TRY(host.read_bytes(pci_sysfs_path(bdf, "config"), pci::kConfigSize)));
  return record;
}

void record_opened(PhysicalDevice& device, PhysicalHost& host, const PrivateText& texts,
                   FunctionRecord& record) {
  VfioRecord vfio{.answer = device.driver_answer(),
                  .has_function_reset = device.has_function_reset(),
                  .atomic_completers = device.atomic_completers(),
                  .hot_reset = hot_reset_of(host, device, texts)};
  for (std::uint32_t number = 0; number < RegionTable::kMostRegions; ++number) {
    const auto index = static_cast<RegionIndex>(number);
    if (const RegionInfo& info = device.region(index); info.size != 0) {
      vfio.regions.push_back({.index = index, .info = info});
    }
  }
  for (std::size_t type = 0; type < vfio.irqs.size(); ++type) {
    vfio.irqs.at(type) = device.irq(static_cast<IrqType>(type));
  }
  vfio.config = without_serial_numbers(opened_config(device));
  vfio.registers = check_registers_of(device);
  record.vfio = std::move(vfio);
}

CycleRecord record_cycle(const TrialCycle& cycle, const PrivateText& texts) {
  CycleRecord record{.number = cycle.number};
  for (const ResetCertificate& certificate : cycle.certificates) {
    ResetRecord reset{.functions = certificate.functions,
                      .method = std::string(to_string(certificate.method)),
                      .verdict = std::string(to_string(certificate.verdict)),
                      .is_safe = certificate.is_safe(),
                      .duration_ms = static_cast<std::uint64_t>(certificate.duration.count()),
                      .text = texts.clean(certificate.text)};
    for (const ResetMethod method : certificate.did_not_help) {
      reset.did_not_help.emplace_back(to_string(method));
    }
    record.resets.push_back(std::move(reset));
  }
  for (const TrialCycle::Register& entry : cycle.registers) {
    record.witnesses.push_back(
        {.function = entry.function, .name = entry.name, .is_cleared = entry.is_cleared});
  }
  for (const TrialCycle::Look& look : cycle.looks) {
    LookRecord seen{.function = look.function,
                    .state = look.state,
                    .command = look.command,
                    .status = look.status,
                    .error = texts.clean(look.error)};
    for (const RegisterValue& entry : look.registers) {
      seen.registers.push_back({.region = entry.check->region,
                                .offset = entry.check->offset,
                                .value = entry.value,
                                .meaning = std::string(entry.check->meaning)});
    }
    record.looks.push_back(std::move(seen));
  }
  return record;
}

}  // namespace gpuvm
