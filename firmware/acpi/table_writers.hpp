// SPDX-License-Identifier: Apache-2.0
// Internal to this room: one function per table. Each returns a whole table whose checksum is still
// 0 and whose pointers are still 0.
#pragma once

#include "firmware/acpi/acpi_spec.hpp"
#include "firmware/acpi/acpi_tables.hpp"
#include "firmware/acpi/aml.hpp"

namespace gpuvm::acpi {

/// Ids from here on do not fit a local APIC entry, and guests ignore an x2APIC entry for a lower id
/// when there are local APIC entries (5.2.12.12).
inline constexpr std::uint32_t kFirstX2apicId = 255;

/// A header with our ids; signature has four characters.
TableHeader table_header(const char (&signature)[5], std::uint8_t revision, std::size_t length);
/// Puts a finished body behind a header.
aml::Bytes table_with_body(const char (&signature)[5], std::uint8_t revision,
                           const aml::Bytes& body);

aml::Bytes fadt_table(const AcpiInput& input);
aml::Bytes facs_table();
aml::Bytes madt_table(const AcpiInput& input);
aml::Bytes mcfg_table(const AcpiEcam& ecam);
aml::Bytes dsdt_table(const AcpiInput& input);
// Of an input with NUMA domains.
aml::Bytes srat_table(const AcpiInput& input);
aml::Bytes slit_table(const AcpiNuma& numa);
aml::Bytes hmat_table(const AcpiNuma& numa);
/// Empty where no ROM is for a driver that reads one.
aml::Bytes vfct_table(const std::vector<AcpiRom>& roms);

/// The DSDT begins with this name, which holds the address of AcpiBlobs::data, where there are
/// data; the address itself is at kDataPointer in the table.
inline constexpr const char* kDataName = "GPVD";
inline constexpr std::uint32_t kDataPointer = sizeof(TableHeader) + 6;
aml::Term data_name();
/// A device with _ROM for each, and what the methods call, for the scope \_SB.
aml::Terms rom_terms(const std::vector<AcpiRom>& roms);
/// What the methods read; empty without ROMs.
aml::Bytes rom_data(const std::vector<AcpiRom>& roms);

}  // namespace gpuvm::acpi
