// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/vfio_parse.hpp"

#include <linux/vfio.h>

#include <algorithm>
#include <array>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::vfio {
namespace {

// Longer chains than any kernel makes are taken for loops.
constexpr unsigned kMaxCapabilities = 64;

// Linux 6.5, include/uapi/linux/vfio.h: VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP, whose flags are the
// dword behind the header. Older headers do not have it, older kernels do not say it.
constexpr std::uint16_t kAtomicCompleters = 5;
constexpr std::size_t kAtomicFlags = sizeof(vfio_info_cap_header);
struct AtomicWidth {
  std::uint32_t flag;       ///< VFIO_PCI_ATOMIC_COMP32, 64 and 128
  std::uint32_t completer;  ///< in Device Capabilities 2
};
constexpr std::array<AtomicWidth, 3> kAtomicWidths = {{{1U << 0, pci::kDevice2AtomicComplete32},
                                                       {1U << 1, pci::kDevice2AtomicComplete64},
                                                       {1U << 2, pci::kDevice2AtomicComplete128}}};

std::uint32_t read_atomic_completers(std::span<const std::byte> capability) {
  const auto flags = load_at<std::uint32_t>(capability, kAtomicFlags).value_or(0);
  std::uint32_t completers = 0;
  for (const auto& width : kAtomicWidths) {
    completers |= (flags & width.flag) != 0 ? width.completer : 0;
  }
  return completers;
}

void read_sparse_areas(std::span<const std::byte> capability, RegionInfo& info) {
  const std::uint32_t count =
      load_at<std::uint32_t>(capability, offsetof(vfio_region_info_cap_sparse_mmap, nr_areas))
          .value_or(0);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto area = load_at<vfio_region_sparse_mmap_area>(
        capability, sizeof(vfio_region_info_cap_sparse_mmap) +
                        std::size_t{i} * sizeof(vfio_region_sparse_mmap_area));
    if (!area) {
      break;
    }
    const bool fits = area->size != 0 && area->offset < info.size &&
                      area->size <= info.size - area->offset && is_aligned(area->offset, kPageSize);
    if (fits) {
      info.sparse_areas.push_back({area->offset, area->size});
    }
  }
  // The capability says that only these may be mapped: with none left, nothing may.
  if (info.sparse_areas.empty()) {
    info.mappable = false;
  }
}

void read_type(std::span<const std::byte> capability, RegionInfo& info) {
  const auto raw = load_at<vfio_region_info_cap_type>(capability, 0);
  if (raw) {
    info.type = RegionType{raw->type, raw->subtype};
  }
}

std::vector<IovaRange> read_iova_ranges(std::span<const std::byte> capability) {
  std::vector<IovaRange> ranges;
  const std::uint32_t count =
      load_at<std::uint32_t>(capability, offsetof(vfio_iommu_type1_info_cap_iova_range, nr_iovas))
          .value_or(0);
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto range =
        load_at<vfio_iova_range>(capability, sizeof(vfio_iommu_type1_info_cap_iova_range) +
                                                 std::size_t{i} * sizeof(vfio_iova_range));
    if (!range) {
      break;
    }
    if (range->end < range->start) {
      continue;
    }
    // A range over the whole 64-bit space has no representable size: leave out its last page.
    const std::uint64_t last = range->end - range->start;
    const auto parsed = IovaRange::create(Iova(range->start), last == ~0ULL ? last : last + 1);
    if (parsed) {
      ranges.push_back(*parsed);
    }
  }
  return ranges;
}

std::uint32_t action_flag(IrqAction action) {
  switch (action) {
    case IrqAction::kMask:
      return VFIO_IRQ_SET_ACTION_MASK;
    case IrqAction::kUnmask:
      return VFIO_IRQ_SET_ACTION_UNMASK;
    case IrqAction::kTrigger:
      return VFIO_IRQ_SET_ACTION_TRIGGER;
  }
  return VFIO_IRQ_SET_ACTION_TRIGGER;
}

}  // namespace

std::optional<std::span<const std::byte>> find_capability(std::span<const std::byte> answer,
                                                          std::uint32_t first, std::uint16_t id) {
  std::uint32_t offset = first;
  for (unsigned step = 0; offset != 0 && step < kMaxCapabilities; ++step) {
    const auto header = load_at<vfio_info_cap_header>(answer, offset);
    if (!header) {
      return std::nullopt;
    }
    if (header->id == id) {
      return answer.subspan(offset);
    }
    offset = header->next;
  }
  return std::nullopt;
}

std::vector<std::uint16_t> capability_ids(std::span<const std::byte> answer, std::uint32_t first) {
  std::vector<std::uint16_t> ids;
  std::uint32_t offset = first;
  for (unsigned step = 0; offset != 0 && step < kMaxCapabilities; ++step) {
    const auto header = load_at<vfio_info_cap_header>(answer, offset);
    if (!header) {
      break;
    }
    ids.push_back(header->id);
    offset = header->next;
  }
  return ids;
}

Result<ParsedDevice> parse_device_info(std::span<const std::byte> answer) {
  // Kernels before 5.8 end the answer before cap_offset.
  constexpr std::size_t kOldSize = offsetof(vfio_device_info, cap_offset);
  if (answer.size() < kOldSize) {
    return fail(ErrorKind::kHost, "VFIO's device information is too short ({} bytes)",
                answer.size());
  }
  vfio_device_info raw{};
  std::memcpy(&raw, answer.data(), std::min(answer.size(), sizeof raw));
  ParsedDevice device{.flags = raw.flags, .regions = raw.num_regions, .irqs = raw.num_irqs};
  if ((raw.flags & VFIO_DEVICE_FLAGS_CAPS) != 0) {
    const auto atomics = find_capability(answer, raw.cap_offset, kAtomicCompleters);
    device.atomic_completers = atomics ? read_atomic_completers(*atomics) : 0;
    device.capabilities = capability_ids(answer, raw.cap_offset);
  }
  return device;
}

Result<ParsedRegion> parse_region_info(std::span<const std::byte> answer) {
  const auto raw = load_at<vfio_region_info>(answer, 0);
  if (!raw) {
    return fail(ErrorKind::kHost, "VFIO's region information is too short ({} bytes)",
                answer.size());
  }
  // File offsets are signed 64-bit numbers.
  constexpr std::uint64_t kOffsetMax = ~0ULL >> 1;
  if (raw->offset > kOffsetMax || raw->size > kOffsetMax - raw->offset) {
    return fail(ErrorKind::kHost, "VFIO's region {} runs past the end of its file", raw->index);
  }
  ParsedRegion region;
  region.file_offset = raw->offset;
  region.info.size = raw->size;
  region.info.readable = (raw->flags & VFIO_REGION_INFO_FLAG_READ) != 0;
  region.info.writable = (raw->flags & VFIO_REGION_INFO_FLAG_WRITE) != 0;
  region.info.mappable = (raw->flags & VFIO_REGION_INFO_FLAG_MMAP) != 0;
  if ((raw->flags & VFIO_REGION_INFO_FLAG_CAPS) != 0) {
    region.info.capabilities = capability_ids(answer, raw->cap_offset);
    region.info.msix_mappable =
        find_capability(answer, raw->cap_offset, VFIO_REGION_INFO_CAP_MSIX_MAPPABLE).has_value();
    const auto sparse = find_capability(answer, raw->cap_offset, VFIO_REGION_INFO_CAP_SPARSE_MMAP);
    if (sparse) {
      read_sparse_areas(*sparse, region.info);
    }
    const auto type = find_capability(answer, raw->cap_offset, VFIO_REGION_INFO_CAP_TYPE);
    if (type) {
      read_type(*type, region.info);
    }
  }
  return region;
}

Result<std::vector<IovaRange>> parse_iova_ranges(std::span<const std::byte> answer) {
  // Kernels before 5.4 end the answer before cap_offset.
  constexpr std::size_t kOldSize = offsetof(vfio_iommu_type1_info, cap_offset);
  if (answer.size() < kOldSize) {
    return fail(ErrorKind::kHost, "VFIO's IOMMU information is too short ({} bytes)",
                answer.size());
  }
  vfio_iommu_type1_info raw{};
  std::memcpy(&raw, answer.data(), std::min(answer.size(), sizeof raw));
  if ((raw.flags & VFIO_IOMMU_INFO_CAPS) == 0) {
    return std::vector<IovaRange>();
  }
  const auto ranges = find_capability(answer, raw.cap_offset, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
  return ranges ? read_iova_ranges(*ranges) : std::vector<IovaRange>();
}

Result<std::vector<HotResetMember>> parse_hot_reset_info(std::span<const std::byte> answer) {
  const auto raw_count = load_at<std::uint32_t>(answer, offsetof(vfio_pci_hot_reset_info, count));
  const std::uint32_t count = raw_count.value_or(0);
  const std::size_t room = raw_count ? answer.size() - sizeof(vfio_pci_hot_reset_info) : 0;
  if (!raw_count || count > room / sizeof(vfio_pci_dependent_device)) {
    return fail(ErrorKind::kHost, "VFIO's hot reset information names {} functions in {} bytes",
                count, answer.size());
  }
  std::vector<HotResetMember> members;
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto entry = load_at<vfio_pci_dependent_device>(
        answer,
        sizeof(vfio_pci_hot_reset_info) + std::size_t{i} * sizeof(vfio_pci_dependent_device));
    const Bdf bdf{entry->segment, entry->bus, static_cast<std::uint8_t>(entry->devfn >> 3),
                  static_cast<std::uint8_t>(entry->devfn & 7)};
    members.push_back({bdf, entry->group_id});
  }
  return members;
}

std::vector<std::byte> build_irq_set(IrqType type, IrqAction action, std::uint32_t start,
                                     std::uint32_t count, std::span<const int> fds) {
  vfio_irq_set header{};
  header.argsz = static_cast<std::uint32_t>(sizeof header + fds.size_bytes());
  header.flags =
      action_flag(action) | (fds.empty() ? VFIO_IRQ_SET_DATA_NONE : VFIO_IRQ_SET_DATA_EVENTFD);
  header.index = static_cast<std::uint32_t>(type);
  header.start = start;
  header.count = fds.empty() ? count : static_cast<std::uint32_t>(fds.size());
  std::vector<std::byte> bytes;
  append_bytes(bytes, header);
  const auto data = std::as_bytes(fds);
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

std::vector<std::byte> build_hot_reset(std::span<const int> group_fds) {
  vfio_pci_hot_reset header{};
  header.argsz = static_cast<std::uint32_t>(sizeof header + group_fds.size_bytes());
  header.count = static_cast<std::uint32_t>(group_fds.size());
  std::vector<std::byte> bytes;
  append_bytes(bytes, header);
  const auto data = std::as_bytes(group_fds);
  bytes.insert(bytes.end(), data.begin(), data.end());
  return bytes;
}

Status check_iova(std::span<const IovaRange> usable, Iova at, std::uint64_t size) {
  if (usable.empty()) {
    return {};
  }
  std::string ranges;
  for (const IovaRange& range : usable) {
    if (range.contains(at, size)) {
      return {};
    }
    ranges += fmt::format("{}{:#x} to {:#x}", ranges.empty() ? "" : ", ", range.base().value(),
                          range.last().value());
  }
  return fail(ErrorKind::kHost,
              "The host's IOMMU cannot map {:#x} bytes at guest address {:#x}; it offers {}: give "
              "the guest less memory",
              size, at.value(), ranges);
}

}  // namespace gpuvm::vfio
