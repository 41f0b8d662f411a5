// SPDX-License-Identifier: Apache-2.0
// Internal to this room: one function per table. Each returns a whole table whose checksum is still
// 0 and whose pointers are still 0.
#pragma once

#include "firmware/acpi/acpi_spec.hpp"
#include "firmware/acpi/acpi_tables.hpp"
#include "firmware/acpi/aml.hpp"

namespace gpuvm::acpi {

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

}  // namespace gpuvm::acpi
