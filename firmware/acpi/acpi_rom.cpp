// SPDX-License-Identifier: Apache-2.0
// _ROM methods, the VFCT, and the layout of AcpiBlobs::data.
#include "firmware/acpi/acpi_rom.hpp"

#include <fmt/core.h>

#include "firmware/acpi/table_writers.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::acpi {
namespace {

/// What one call returns at most (NVIDIA's open kernel modules, ROM_METHOD_MAX_RETURN_BUFFER_SIZE).
constexpr std::uint64_t kMostPerCall = 4096;
/// The data begins with zeroes: firmware takes what a pointer leads to for a table if it looks like
/// one, and an option ROM may.
constexpr std::uint64_t kDataHead = kAcpiTablesAlignment;
/// Whose drivers read a VFCT.
constexpr std::uint16_t kVendorAmd = 0x1002;

constexpr const char* kReadMethod = "\\_SB.GROM";

/// Bytes that a ROM takes in the data: the window of the last call, two blocks, stays inside.
std::uint64_t room_for(const AcpiRom& rom) {
  return align_up(rom.image.size(), kMostPerCall) + kMostPerCall;
}

/// GROM (address, size, offset, length): the bytes of the image of that size at that address.
/// Accesses are aligned, because unaligned ones across a page make trouble in some interpreters:
/// the window begins at a multiple of a block, and one or two blocks are read.
aml::Term read_method() {
  const aml::Term address = aml::argument(0);
  const aml::Term size = aml::argument(1);
  const aml::Term offset = aml::argument(2);
  const aml::Term length = aml::local(0);
  const aml::Term bytes = aml::local(1);
  const aml::Term inside = aml::local(2);  // the offset in its block
  const aml::Term start = aml::local(3);
  return aml::method(
      kReadMethod, 4,
      {aml::store(aml::argument(3), length),
       aml::if_(aml::greater(length, aml::integer(kMostPerCall)),
                {aml::store(aml::integer(kMostPerCall), length)}),
       aml::if_(aml::logical_or(aml::logical_not(length), aml::greater_equal(offset, size)),
                {aml::store(aml::buffer_of_size(length), bytes), aml::return_(bytes)}),
       aml::and_(offset, aml::integer(kMostPerCall - 1), inside),
       aml::subtract(aml::add(address, offset), inside, start),
       aml::operation_region("ROMW", aml::RegionSpace::kSystemMemory, start,
                             aml::integer(2 * kMostPerCall)),
       aml::field("ROMW", aml::FieldAccess::kDword,
                  {{"ROML", kMostPerCall * 8}, {"ROMH", kMostPerCall * 8}}),
       aml::store(aml::path("ROML"), bytes),
       aml::if_(inside, {aml::concatenate(bytes, aml::path("ROMH"), bytes)}),
       aml::return_(aml::mid(bytes, inside, length))},
      aml::Serialized::kYes);
}

/// The function's device; its address is device << 16 | function (ACPI 6.5, 6.1.1).
aml::Term function_device(const AcpiRom& rom, std::uint64_t data_offset) {
  const std::uint64_t address = std::uint64_t{rom.devfn} >> 3 << 16 | (rom.devfn & 7U);
  const aml::Term base = aml::add(aml::path(kDataName), aml::integer(data_offset));
  return aml::device(
      fmt::format("{}.S{:02X}", rom.port_path, rom.devfn),
      {aml::name("_ADR", aml::integer(address)),
       aml::method("_ROM", 2,
                   {aml::return_(aml::call(kReadMethod, {base, aml::integer(rom.image.size()),
                                                         aml::argument(0), aml::argument(1)}))},
                   aml::Serialized::kYes)});
}

VfctImage vfct_image(const AcpiRom& rom) {
  return {.bus = rom.bus,
          .device = std::uint32_t{rom.devfn} >> 3,
          .function = std::uint32_t{rom.devfn} & 7,
          .vendor = rom.vendor,
          .device_id = rom.device,
          .subsystem_vendor = rom.subsystem_vendor,
          .subsystem_device = rom.subsystem_device,
          .revision = rom.revision,
          .length = static_cast<std::uint32_t>(rom.image.size())};
}

}  // namespace

aml::Term data_name() {
  // A dword whatever the value: the address goes there later.
  return aml::name(kDataName, aml::Term{{std::byte{0x0c}, {}, {}, {}, {}}});
}

aml::Terms rom_terms(const std::vector<AcpiRom>& roms) {
  aml::Terms terms;
  if (!roms.empty()) {
    terms.push_back(read_method());
  }
  std::uint64_t offset = kDataHead;
  for (const AcpiRom& rom : roms) {
    terms.push_back(function_device(rom, offset));
    offset += room_for(rom);
  }
  return terms;
}

aml::Bytes rom_data(const std::vector<AcpiRom>& roms) {
  aml::Bytes data;
  if (roms.empty()) {
    return data;
  }
  data.resize(kDataHead);
  for (const AcpiRom& rom : roms) {
    const std::size_t end = data.size() + room_for(rom);
    data.insert(data.end(), rom.image.begin(), rom.image.end());
    data.resize(end);
  }
  return data;
}

aml::Bytes vfct_table(const std::vector<AcpiRom>& roms) {
  aml::Bytes body;
  append_bytes(body, VfctBody{.uuid = {},
                              .first_image = sizeof(TableHeader) + sizeof(VfctBody),
                              .first_library = 0,
                              .reserved = {}});
  const std::size_t empty = body.size();
  for (const AcpiRom& rom : roms) {
    if (rom.vendor == kVendorAmd && rom.in_vfct) {
      append_bytes(body, vfct_image(rom));
      body.insert(body.end(), rom.image.begin(), rom.image.end());
    }
  }
  return body.size() == empty ? aml::Bytes() : table_with_body("VFCT", 1, body);
}

}  // namespace gpuvm::acpi
