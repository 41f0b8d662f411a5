// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report/recorded_function.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/machine/devices/sysfs_facts.hpp"

namespace gpuvm {
namespace {

const RecordedConfig& recorded_config(const FunctionRecord& record) {
  return record.vfio ? record.vfio->config : record.config;
}

/// Virtual functions have no ids of their own (PCI Express Base 6.0, 9.3.4.1.1); the kernel knows
/// them, and vfio-pci shows them.
void fill_ids(const FunctionRecord& record, std::vector<std::byte>& config) {
  constexpr std::uint32_t kNone = 0xffffffff;
  if (load_at<std::uint32_t>(config, pci::kVendorId) == kNone &&
      load_at<std::uint32_t>(config, pci::kClassDword).value_or(kNone) != kNone) {
    store_le(std::span(config).subspan(pci::kVendorId, 2), record.ids.vendor);
    store_le(std::span(config).subspan(pci::kDeviceId, 2), record.ids.device);
  }
}

}  // namespace

RecordedFunction::RecordedFunction(const FunctionRecord& record)
    : record_(record),
      name_(record.address.to_string()),
      config_(recorded_config(record).bytes),
      config_region_{
          .size = config_.size(), .readable = true, .writable = true, .sparse_areas = {}} {
  fill_ids(record, config_);
}

const RecordedHotReset& RecordedFunction::hot_reset() const {
  return record_.vfio ? record_.vfio->hot_reset : record_.hot_reset;
}

const RegionInfo& RecordedFunction::region(RegionIndex index) const {
  static const RegionInfo kAbsent{};
  if (index == RegionIndex::kConfig) {
    return config_region_;
  }
  if (!record_.vfio) {
    return kAbsent;
  }
  const auto& regions = record_.vfio->regions;
  const auto found =
      std::find_if(regions.begin(), regions.end(),
                   [index](const RecordedRegion& region) { return region.index == index; });
  return found == regions.end() ? kAbsent : found->info;
}

Status RecordedFunction::read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) {
  if (index == RegionIndex::kConfig) {
    if (!is_inside(0, pci::kConfigSize, offset, out.size())) {
      return refuse();
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = offset + i < config_.size() ? config_[offset + i] : std::byte{0};
    }
    return {};
  }
  if (record_.vfio) {
    for (const RecordedRegister& entry : record_.vfio->registers) {
      if (entry.region == index && entry.offset == offset && entry.value &&
          out.size() == sizeof(std::uint32_t)) {
        store_le(out, *entry.value);
        return {};
      }
    }
  }
  return refuse();
}

IrqInfo RecordedFunction::irq(IrqType type) const {
  return record_.vfio ? record_.vfio->irqs.at(static_cast<std::size_t>(type)) : IrqInfo();
}

std::uint32_t RecordedFunction::atomic_completers() const {
  return record_.vfio ? record_.vfio->atomic_completers : 0;
}

DriverAnswer RecordedFunction::driver_answer() const {
  return record_.vfio ? record_.vfio->answer : DriverAnswer();
}

bool RecordedFunction::has_function_reset() const {
  return record_.vfio ? record_.vfio->has_function_reset : record_.has_function_reset;
}

Error RecordedFunction::refuse() const {
  return fail(ErrorKind::kHost, "{} is a report of a device", name_);
}
Status RecordedFunction::write(RegionIndex, std::uint64_t, std::span<const std::byte>) {
  return refuse();
}
Result<MappedRegion> RecordedFunction::map(RegionIndex, RegionArea, std::uint64_t) {
  return refuse();
}
Status RecordedFunction::set_irq_fds(IrqType, std::uint32_t, std::span<const int>) {
  return refuse();
}
Status RecordedFunction::set_intx_unmask_fd(int) {
  return refuse();
}
Status RecordedFunction::set_intx_masked(bool) {
  return refuse();
}
Status RecordedFunction::function_reset() {
  return refuse();
}

Status RecordedHost::map_dma(Iova, const DmaMemory&) {
  return fail(ErrorKind::kHost, "A report maps no memory");
}
Status RecordedHost::unmap_dma(Iova, std::uint64_t) {
  return fail(ErrorKind::kHost, "A report maps no memory");
}
Status RecordedHost::hot_reset(PhysicalDevice& device) {
  return fail(ErrorKind::kHost, "{} is a report of a device", device.name());
}

Result<std::vector<HotResetMember>> RecordedHost::hot_reset_set(PhysicalDevice& device) {
  const auto* const recorded = dynamic_cast<const RecordedFunction*>(&device);
  if (recorded == nullptr) {
    return fail(ErrorKind::kInternal, "{} is of no report", device.name());
  }
  const RecordedHotReset& known = recorded->hot_reset();
  if (!known.obstacle.empty() || known.members.empty()) {
    return fail(
        ErrorKind::kHost, "{}",
        known.obstacle.empty() ? "What a hot reset covers is not recorded" : known.obstacle);
  }
  return known.members;
}

Result<FunctionFacts> recorded_facts(const FunctionRecord& record) {
  RecordedFunction function(record);
  if (record.vfio) {
    return FunctionFacts::read(function);
  }
  return sysfs_facts(
      {.config = TRY(read_physical_config(function)), .bars = record.bars, .ids = record.ids},
      record.has_function_reset);
}

}  // namespace gpuvm
