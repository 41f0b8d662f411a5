// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio_user/messages.hpp"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::vfio_user {
namespace {

constexpr std::size_t kOurMessageFds = 16;
constexpr std::size_t kMaxVersionText = 4096;
constexpr unsigned kMaxCapabilities = 16;
constexpr std::uint64_t kLargestBar = std::uint64_t{1} << 52;
constexpr std::uint64_t kLargestRom = 16_MiB;   // PCI Local Bus 3.0, 6.2.5.2
constexpr std::uint64_t kSmallestConfig = 256;  // PCI Local Bus 3.0, 6.1
constexpr std::uint64_t kLargestConfig = 4096;  // PCI Express Base 6.0, 7.2
constexpr std::uint64_t kLargestVga = 0xc0000;  // legacy memory and ports, in VFIO's layout

Error bad_answer(Command command, std::string_view what) {
  return fail(ErrorKind::kHost, "The vfio-user server's answer to {} {}", to_string(command), what);
}

/// A number of the capabilities: `otherwise` if it is absent, nothing if it is no such number.
std::optional<std::uint64_t> number_of(const nlohmann::json& capabilities, const char* key,
                                       std::uint64_t otherwise) {
  const auto found = capabilities.find(key);
  if (found == capabilities.end()) {
    return otherwise;
  }
  if (!found->is_number_unsigned()) {
    return std::nullopt;
  }
  return found->get<std::uint64_t>();
}

Result<nlohmann::json> parse_capabilities(std::span<const std::byte> text) {
  if (text.empty()) {
    return nlohmann::json::object();
  }
  if (text.size() > kMaxVersionText || text.back() != std::byte{0}) {
    return bad_answer(Command::kVersion, "has capabilities that are too long or do not end");
  }
  const auto* begin = reinterpret_cast<const char*>(text.data());
  const auto whole =
      nlohmann::json::parse(begin, begin + text.size() - 1, nullptr, /*allow_exceptions=*/false);
  if (!whole.is_object()) {
    return bad_answer(Command::kVersion, "has capabilities that are no JSON object");
  }
  const auto found = whole.find("capabilities");
  if (found == whole.end()) {
    return nlohmann::json::object();
  }
  if (!found->is_object()) {
    return bad_answer(Command::kVersion, "has capabilities that are no JSON object");
  }
  return *found;
}

bool is_bar(RegionIndex index) {
  return index <= RegionIndex::kBar5;
}

bool size_is_possible(RegionIndex index, std::uint64_t size) {
  if (is_bar(index)) {
    return size <= kLargestBar && (size == 0 || (std::has_single_bit(size) && size >= 4));
  }
  switch (index) {
    case RegionIndex::kRom:
      return size <= kLargestRom;
    case RegionIndex::kConfig:
      return size >= kSmallestConfig && size <= kLargestConfig && size % 4 == 0;
    case RegionIndex::kVga:
      return size <= kLargestVga;
    default:
      return size <= kLargestBar;  // device-specific: of any size
  }
}

/// Where the sparse areas lie: bytes from the capability on. Other capabilities go to `info`.
std::optional<std::span<const std::byte>> find_sparse(std::span<const std::byte> payload,
                                                      std::uint32_t first, RegionInfo& info) {
  std::optional<std::span<const std::byte>> sparse;
  std::uint32_t offset = first;
  for (unsigned step = 0; offset != 0 && step < kMaxCapabilities; ++step) {
    const auto header = load_at<Capability>(payload, offset);
    if (!header) {
      break;
    }
    if (header->id == kCapabilitySparse) {
      sparse = payload.subspan(offset);
    }
    info.msix_mappable = info.msix_mappable || header->id == kCapabilityMsixMappable;
    if (const auto type = load_at<Type>(payload, offset); type && header->id == kCapabilityType) {
      info.type = RegionType{type->type, type->subtype};
    }
    offset = header->next;
  }
  return sparse;
}

Status read_areas(std::span<const std::byte> capability, RegionInfo& info) {
  const auto header = load_at<Sparse>(capability, 0);
  if (!header || header->areas > (capability.size() - sizeof(Sparse)) / sizeof(SparseArea)) {
    return bad_answer(Command::kDeviceGetRegionInfo, "names more areas than it holds");
  }
  for (std::uint32_t i = 0; i < header->areas; ++i) {
    const auto area =
        load_at<SparseArea>(capability, sizeof(Sparse) + std::size_t{i} * sizeof(SparseArea))
            .value_or(SparseArea{});
    if (area.size == 0 || area.offset >= info.size || area.size > info.size - area.offset ||
        !is_aligned(area.offset | area.size, kPageSize)) {
      return bad_answer(Command::kDeviceGetRegionInfo,
                        fmt::format("has an area of {:#x} bytes at {:#x} in a region of {:#x}",
                                    area.size, area.offset, info.size));
    }
    info.sparse_areas.push_back({area.offset, area.size});
  }
  // The capability says that only these may be mapped: without any, nothing may.
  info.mappable = info.mappable && !info.sparse_areas.empty();
  return {};
}

std::uint32_t most_vectors(IrqType type) {
  switch (type) {
    case IrqType::kMsi:
      return pci::kMaxMsiVectors;
    case IrqType::kMsix:
      return pci::kMaxMsixVectors;
    default:
      return 1;
  }
}

Result<RegionAccess> check_access(std::span<const std::byte> payload, const RegionAccess& asked,
                                  Command command) {
  const auto answer = load_at<RegionAccess>(payload, 0);
  if (!answer) {
    return bad_answer(command, "is too short");
  }
  if (answer->offset != asked.offset || answer->region != asked.region ||
      answer->count != asked.count) {
    return bad_answer(command, fmt::format("is about {:#x} bytes of region {} at {:#x}",
                                           answer->count, answer->region, answer->offset));
  }
  return *answer;
}

}  // namespace

std::string_view to_string(Command command) {
  switch (command) {
    case Command::kVersion:
      return "VERSION";
    case Command::kDmaMap:
      return "DMA_MAP";
    case Command::kDmaUnmap:
      return "DMA_UNMAP";
    case Command::kDeviceGetInfo:
      return "DEVICE_GET_INFO";
    case Command::kDeviceGetRegionInfo:
      return "DEVICE_GET_REGION_INFO";
    case Command::kDeviceGetIrqInfo:
      return "DEVICE_GET_IRQ_INFO";
    case Command::kDeviceSetIrqs:
      return "DEVICE_SET_IRQS";
    case Command::kRegionRead:
      return "REGION_READ";
    case Command::kRegionWrite:
      return "REGION_WRITE";
    case Command::kDmaRead:
      return "DMA_READ";
    case Command::kDmaWrite:
      return "DMA_WRITE";
    case Command::kDeviceReset:
      return "DEVICE_RESET";
  }
  return "an unknown command";
}

Bytes version_request() {
  const nlohmann::json text = {{"capabilities",
                                {{"max_msg_fds", kMaxReceivedFds},
                                 {"max_data_xfer_size", kMaxTransfer},
                                 {"pgsizes", kPageSize}}}};
  Bytes bytes;
  append_bytes(bytes, Version{kMajor, kMinor});
  for (const char c : text.dump()) {
    bytes.push_back(static_cast<std::byte>(c));
  }
  bytes.push_back(std::byte{0});
  return bytes;
}

Result<ServerLimits> parse_version(std::span<const std::byte> payload) {
  const auto version = load_at<Version>(payload, 0);
  if (!version) {
    return bad_answer(Command::kVersion, "is too short");
  }
  if (version->major != kMajor || version->minor > kMinor) {
    return bad_answer(Command::kVersion,
                      fmt::format("is version {}.{}, but we speak {}.{} and below", version->major,
                                  version->minor, kMajor, kMinor));
  }
  const auto capabilities = TRY(parse_capabilities(payload.subspan(sizeof(Version))));
  const auto fds = number_of(capabilities, "max_msg_fds", kDefaultMessageFds);
  const auto transfer = number_of(capabilities, "max_data_xfer_size", kDefaultTransferSize);
  const auto pages = number_of(capabilities, "pgsizes", kDefaultPageSizes);
  if (!fds || *fds == 0 || !transfer || *transfer == 0 || !pages || (*pages & kPageSize) == 0) {
    return bad_answer(Command::kVersion,
                      "has limits that leave nothing to work with (max_msg_fds, "
                      "max_data_xfer_size or pgsizes)");
  }
  return ServerLimits{
      .message_fds = static_cast<std::size_t>(std::min<std::uint64_t>(*fds, kOurMessageFds)),
      .transfer_size =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(*transfer, kMaxTransfer))};
}

Result<DeviceSummary> parse_device_info(std::span<const std::byte> payload) {
  const auto info = load_at<DeviceInfo>(payload, 0);
  if (!info) {
    return bad_answer(Command::kDeviceGetInfo, "is too short");
  }
  if ((info->flags & kDevicePci) == 0) {
    return bad_answer(Command::kDeviceGetInfo, "says that it is not a PCI function");
  }
  if (info->regions <= static_cast<std::uint32_t>(RegionIndex::kConfig)) {
    return bad_answer(Command::kDeviceGetInfo, "has no configuration space among its regions");
  }
  return DeviceSummary{
      .can_reset = (info->flags & kDeviceReset) != 0, .regions = info->regions, .irqs = info->irqs};
}

Result<ParsedRegion> parse_region(std::span<const std::byte> payload, RegionIndex index) {
  const auto raw = load_at<Region>(payload, 0);
  if (!raw || raw->index != static_cast<std::uint32_t>(index)) {
    return bad_answer(Command::kDeviceGetRegionInfo,
                      raw ? "is about another region" : "is too short");
  }
  // File offsets are signed 64-bit numbers.
  constexpr std::uint64_t kOffsetMax = ~0ULL >> 1;
  if (!size_is_possible(index, raw->size) || raw->offset > kOffsetMax ||
      raw->size > kOffsetMax - raw->offset) {
    return bad_answer(Command::kDeviceGetRegionInfo,
                      fmt::format("has an impossible size for region {}: {:#x} bytes at {:#x}",
                                  raw->index, raw->size, raw->offset));
  }
  ParsedRegion region;
  region.needed = raw->argsz;
  region.file_offset = raw->offset;
  region.info.size = raw->size;
  region.info.readable = (raw->flags & kRegionReadable) != 0;
  region.info.writable = (raw->flags & kRegionWritable) != 0;
  region.info.mappable = (raw->flags & kRegionMappable) != 0;
  // An answer that was cut is asked for again.
  if ((raw->flags & kRegionHasCapabilities) != 0 && raw->argsz <= payload.size()) {
    const auto sparse = find_sparse(payload, raw->capabilities, region.info);
    if (sparse) {
      TRY(read_areas(*sparse, region.info));
    }
  }
  return region;
}

Result<IrqInfo> parse_irq(std::span<const std::byte> payload, IrqType type) {
  const auto raw = load_at<Irq>(payload, 0);
  if (!raw || raw->index != static_cast<std::uint32_t>(type)) {
    return bad_answer(Command::kDeviceGetIrqInfo, raw ? "is about another type" : "is too short");
  }
  if (raw->count > most_vectors(type)) {
    return bad_answer(Command::kDeviceGetIrqInfo,
                      fmt::format("offers {} vectors of type {}", raw->count, raw->index));
  }
  const bool has_events = (raw->flags & kIrqEventFd) != 0;
  return IrqInfo{.count = has_events ? raw->count : 0,
                 .maskable = (raw->flags & kIrqMaskable) != 0};
}

Result<std::span<const std::byte>> parse_region_read(std::span<const std::byte> payload,
                                                     const RegionAccess& asked) {
  TRY(check_access(payload, asked, Command::kRegionRead));
  const auto data = payload.subspan(sizeof(RegionAccess));
  if (data.size() != asked.count) {
    return bad_answer(Command::kRegionRead,
                      fmt::format("holds {} bytes in place of {}", data.size(), asked.count));
  }
  return data;
}

Status parse_region_write(std::span<const std::byte> payload, const RegionAccess& asked) {
  TRY(check_access(payload, asked, Command::kRegionWrite));
  return {};
}

}  // namespace gpuvm::vfio_user
