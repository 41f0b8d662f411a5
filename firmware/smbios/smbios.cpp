// SPDX-License-Identifier: Apache-2.0
#include "firmware/smbios/smbios.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <limits>
#include <span>

#include "firmware/smbios/smbios_spec.hpp"
#include "firmware/smbios/structure_table.hpp"

namespace gpuvm {
namespace smbios {
namespace {

constexpr std::string_view kVendor = "gpuvm";
// Guests judge the platform's age by this date (Linux: no PCI work-arounds from 2001 on).
constexpr std::string_view kBiosDate = "01/01/2025";
constexpr std::uint16_t kNoHandle = 0xffff;     // no cache structure (7.5)
constexpr std::uint16_t kNoErrorInfo = 0xfffe;  // no error structure is provided (7.17, 7.18)
constexpr std::uint8_t kOther = 1;
constexpr std::uint8_t kUnknown = 2;
constexpr std::uint8_t kSafe = 3;  // 7.4.2
constexpr std::uint64_t kKibOverflow = std::numeric_limits<std::uint32_t>::max();

void append_bios(StructureTable& table, const SmbiosInput& input) {
  StringSet strings;
  BiosInformation bios{};
  bios.vendor_string = strings.add(kVendor);
  bios.version_string = strings.add(input.version);
  bios.date_string = strings.add(kBiosDate);
  bios.characteristics = kBiosCharacteristicsNotSupported;
  bios.characteristics_extension2 = kBiosVirtualMachine;
  bios.major = 0xff;  // not supported (7.1)
  bios.minor = 0xff;
  bios.controller_major = 0xff;
  bios.controller_minor = 0xff;
  table.append(bios, strings);
}

/// 7.2.1: time_low, time_mid and time_hi_and_version are little-endian.
std::array<std::byte, 16> wire_order(const Uuid& uuid) {
  std::array<std::byte, 16> bytes = uuid.bytes;
  std::reverse(bytes.begin(), bytes.begin() + 4);
  std::reverse(bytes.begin() + 4, bytes.begin() + 6);
  std::reverse(bytes.begin() + 6, bytes.begin() + 8);
  return bytes;
}

void append_system(StructureTable& table, const SmbiosInput& input) {
  StringSet strings;
  SystemInformation system{};
  system.manufacturer_string = strings.add(kVendor);
  system.product_string = strings.add(kVendor);
  system.version_string = strings.add(input.version);
  system.uuid = wire_order(input.uuid);
  system.wake_up_type = 6;  // power switch (7.2.2)
  system.sku_string = strings.add(input.machine_name);
  system.family_string = strings.add("Virtual Machine");
  table.append(system, strings);
}

void append_board_and_chassis(StructureTable& table) {
  StringSet board_strings;
  Baseboard board{};
  board.manufacturer_string = board_strings.add(kVendor);
  board.product_string = board_strings.add(kVendor);
  board.features = 1;     // hosting board (7.3.1)
  board.board_type = 10;  // motherboard (7.3.2)
  // The chassis is the next structure.
  board.chassis_handle = static_cast<std::uint16_t>(table.next_handle() + 1);
  table.append(board, board_strings);

  StringSet chassis_strings;
  Chassis chassis{};
  chassis.manufacturer_string = chassis_strings.add(kVendor);
  chassis.chassis_type = kOther;
  chassis.boot_up_state = kSafe;
  chassis.power_supply_state = kSafe;
  chassis.thermal_state = kSafe;
  chassis.security_status = kUnknown;
  table.append(chassis, chassis_strings);
}

std::uint8_t byte_count(unsigned count) {  // 255: see the 16-bit field (7.5.6)
  return static_cast<std::uint8_t>(std::min(count, 255U));
}

void append_processor(StructureTable& table, const SmbiosProcessors& cpus, unsigned socket) {
  StringSet strings;
  const unsigned cores = cpus.cores_per_socket;
  const unsigned threads = cores * cpus.threads_per_core;
  Processor cpu{};
  cpu.socket_string = strings.add(fmt::format("CPU {}", socket));
  cpu.processor_type = 3;  // central processor (7.5.1)
  cpu.family = kOther;
  cpu.manufacturer_string = strings.add(cpus.manufacturer);
  cpu.id_eax = cpus.signature;
  cpu.id_edx = cpus.feature_bits;
  cpu.version_string = strings.add(cpus.model);
  cpu.status = kProcessorPopulatedAndEnabled;
  cpu.upgrade = kOther;
  cpu.l1_handle = kNoHandle;
  cpu.l2_handle = kNoHandle;
  cpu.l3_handle = kNoHandle;
  cpu.core_count = byte_count(cores);
  cpu.core_enabled = byte_count(cores);
  cpu.thread_count = byte_count(threads);
  cpu.characteristics = static_cast<std::uint16_t>(
      kProcessor64Bit | kProcessorExecuteProtection | (cores > 1 ? kProcessorMultiCore : 0U) |
      (cpus.threads_per_core > 1 ? kProcessorHardwareThread : 0U));
  cpu.family2 = kOther;
  cpu.core_count2 = static_cast<std::uint16_t>(cores);
  cpu.core_enabled2 = static_cast<std::uint16_t>(cores);
  cpu.thread_count2 = static_cast<std::uint16_t>(threads);
  table.append(cpu, strings);
}

/// As many structures as needed: one counts its strings in a byte.
void append_oem_strings(StructureTable& table, const std::vector<std::string>& all) {
  constexpr std::size_t kPerStructure = 255;
  for (std::size_t first = 0; first < all.size(); first += kPerStructure) {
    const std::size_t count = std::min(kPerStructure, all.size() - first);
    StringSet strings;
    for (const std::string& text : std::span(all).subspan(first, count)) {
      strings.add(text);
    }
    OemStrings structure{};
    structure.count = static_cast<std::uint8_t>(count);
    table.append(structure, strings);
  }
}

std::uint16_t append_memory_array(StructureTable& table, std::uint64_t total) {
  constexpr std::uint32_t kSeeExtended = 0x8000'0000;
  MemoryArray array{};
  array.location = kOther;
  array.use = 3;               // system memory (7.17.2)
  array.error_correction = 3;  // none (7.17.3)
  const std::uint64_t kib = total / 1_KiB;
  array.maximum_capacity = kib < kSeeExtended ? static_cast<std::uint32_t>(kib) : kSeeExtended;
  array.extended_maximum_capacity = kib < kSeeExtended ? 0 : total;
  array.error_handle = kNoErrorInfo;
  array.device_count = 1;
  return table.append(array);
}

void append_memory_device(StructureTable& table, std::uint16_t array, std::uint64_t total) {
  constexpr std::uint16_t kSeeExtended = 0x7fff;
  StringSet strings;
  MemoryDevice device{};
  device.array_handle = array;
  device.error_handle = kNoErrorInfo;
  device.total_width = 0xffff;  // unknown
  device.data_width = 0xffff;
  const std::uint64_t mib = total / 1_MiB;
  device.size = mib < kSeeExtended ? static_cast<std::uint16_t>(mib) : kSeeExtended;
  device.extended_size = mib < kSeeExtended ? 0 : static_cast<std::uint32_t>(mib);
  device.form_factor = 9;  // DIMM (7.18.1)
  device.locator_string = strings.add("DIMM 0");
  device.memory_type = 7;       // RAM (7.18.2)
  device.type_detail = 1 << 1;  // other (7.18.3)
  device.manufacturer_string = strings.add(kVendor);
  device.technology = kMemoryTechnologyUnknown;
  device.operating_modes = kMemoryModeVolatile;
  device.volatile_size = total;
  table.append(device, strings);
}

void append_mapping(StructureTable& table, std::uint16_t array, const GuestRange& range) {
  MemoryArrayMapped mapped{};
  const std::uint64_t first = range.base().value();
  const std::uint64_t last = range.last().value();
  const bool extended = last / 1_KiB >= kKibOverflow;
  mapped.start = static_cast<std::uint32_t>(extended ? kKibOverflow : first / 1_KiB);
  mapped.end = static_cast<std::uint32_t>(extended ? kKibOverflow : last / 1_KiB);
  mapped.array_handle = array;
  mapped.partition_width = 1;
  mapped.extended_start = extended ? first : 0;
  mapped.extended_end = extended ? last : 0;
  table.append(mapped);
}

std::vector<std::byte> structures(const SmbiosInput& input) {
  StructureTable table;
  append_bios(table, input);
  append_system(table, input);
  append_board_and_chassis(table);
  for (unsigned socket = 0; socket < input.processors.sockets; ++socket) {
    append_processor(table, input.processors, socket);
  }
  append_oem_strings(table, input.oem_strings);
  std::uint64_t total = 0;
  for (const GuestRange& range : input.ram) {
    total += range.size();
  }
  const std::uint16_t array = append_memory_array(table, total);
  append_memory_device(table, array, total);
  for (const GuestRange& range : input.ram) {
    append_mapping(table, array, range);
  }
  table.append(BootInformation{});  // status 0: no errors (7.33.1)
  table.append(EndOfTable{});
  return std::move(table).take();
}

EntryPoint entry_point(GuestAddress table, std::size_t size) {
  EntryPoint entry{};
  entry.anchor = {'_', 'S', 'M', '3', '_'};
  entry.length = sizeof entry;
  entry.major = 3;
  entry.minor = 3;
  entry.revision = 1;
  entry.maximum_size = static_cast<std::uint32_t>(size);
  entry.table_address = table.value();
  unsigned sum = 0;
  for (const std::byte byte : std::as_bytes(std::span(&entry, 1))) {
    sum += std::to_integer<unsigned>(byte);
  }
  entry.checksum = static_cast<std::uint8_t>((0x100 - (sum & 0xff)) & 0xff);
  return entry;
}

Status check(const SmbiosInput& input) {
  const SmbiosProcessors& cpus = input.processors;
  const auto in_range = [](unsigned value, unsigned last) { return value >= 1 && value <= last; };
  if (!in_range(cpus.sockets, 256) || !in_range(cpus.cores_per_socket, 65534) ||
      !in_range(cpus.threads_per_core, 65534 / cpus.cores_per_socket)) {
    return fail(ErrorKind::kInternal, "SMBIOS cannot describe {} sockets of {} cores of {} threads",
                cpus.sockets, cpus.cores_per_socket, cpus.threads_per_core);
  }
  if (input.ram.empty()) {
    return fail(ErrorKind::kInternal, "SMBIOS tables need at least one range of RAM");
  }
  for (std::size_t i = 0; i < input.oem_strings.size(); ++i) {
    const std::string& text = input.oem_strings[i];
    if (text.empty() || text.find('\0') != std::string::npos) {
      return fail(ErrorKind::kConfig,
                  "SMBIOS string {} is empty or holds a NUL byte: remove it or encode it as base64",
                  i + 1);
    }
  }
  return {};
}

}  // namespace
}  // namespace smbios

Result<SmbiosParts> build_smbios_parts(const SmbiosInput& input) {
  TRY(smbios::check(input));
  SmbiosParts parts;
  parts.structures = smbios::structures(input);
  append_bytes(parts.entry_point, smbios::entry_point(GuestAddress(0), parts.structures.size()));
  return parts;
}

Result<SmbiosImage> build_smbios(const SmbiosInput& input, GuestRange area) {
  constexpr std::uint64_t kAlignment = 16;
  if (!kSmbiosArea.contains(area.base(), area.size()) ||
      !is_aligned(area.base().value(), kAlignment)) {
    return fail(ErrorKind::kInternal, "SMBIOS area at {:#x} is not where guests search for it",
                area.base().value());
  }
  TRY(smbios::check(input));
  const std::vector<std::byte> table = smbios::structures(input);
  const GuestAddress table_address(
      align_up(area.base().value() + sizeof(smbios::EntryPoint), kAlignment));
  if (!area.contains(table_address, table.size())) {
    return fail(ErrorKind::kConfig,
                "SMBIOS tables of {} bytes do not fit in {}: pass fewer or shorter SMBIOS strings",
                table.size(), area.size());
  }
  SmbiosImage image{area.base(), {}};
  append_bytes(image.bytes, smbios::entry_point(table_address, table.size()));
  image.bytes.resize(table_address - area.base());
  image.bytes.insert(image.bytes.end(), table.begin(), table.end());
  return image;
}

}  // namespace gpuvm
