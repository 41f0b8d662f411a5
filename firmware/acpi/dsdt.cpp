// SPDX-License-Identifier: Apache-2.0
// DSDT (ACPI 6.5, 5.2.11.1): processors, and whatever the sources say.
#include <fmt/core.h>

#include "firmware/acpi/table_writers.hpp"

namespace gpuvm::acpi {
namespace {

/// A processor device (8.4); _UID matches the processor UID of its MADT entry.
aml::Term processor(std::uint32_t uid) {
  return aml::device(fmt::format("C{:03X}", uid), {aml::name("_HID", aml::string("ACPI0007")),
                                                   aml::name("_UID", aml::integer(uid))});
}

}  // namespace

aml::Bytes dsdt_table(const AcpiInput& input) {
  aml::Terms system_bus;
  for (std::uint32_t uid = 0; uid < input.apic_ids.size(); ++uid) {
    system_bus.push_back(processor(uid));
  }
  for (const AcpiSource* source : input.sources) {
    for (aml::Term& term : source->acpi()) {
      system_bus.push_back(std::move(term));
    }
  }
  for (aml::Term& term : rom_terms(input.roms)) {
    system_bus.push_back(std::move(term));
  }
  aml::Terms all;
  if (!input.roms.empty()) {
    all.push_back(data_name());
  }
  all.push_back(aml::scope("\\_SB", system_bus));
  // Revision 2: integers have 64 bits.
  return table_with_body("DSDT", 2, aml::join(all).bytes);
}

}  // namespace gpuvm::acpi
