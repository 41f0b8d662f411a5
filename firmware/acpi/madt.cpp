// SPDX-License-Identifier: Apache-2.0
// MADT (ACPI 6.5, 5.2.12).
#include <algorithm>

#include "firmware/acpi/table_writers.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::acpi {
namespace {

constexpr std::uint8_t kNmiLint = 1;

void append_local_apic(aml::Bytes& out, std::uint32_t uid, std::uint32_t apic_id) {
  if (apic_id < kFirstX2apicId) {  // then the uid is below it, too (AcpiInput::apic_ids)
    append_bytes(out, MadtLocalApic{MadtType::kLocalApic, sizeof(MadtLocalApic),
                                    static_cast<std::uint8_t>(uid),
                                    static_cast<std::uint8_t>(apic_id), kMadtProcessorEnabled});
  } else {
    append_bytes(out, MadtLocalX2apic{MadtType::kLocalX2apic, sizeof(MadtLocalX2apic), 0, apic_id,
                                      kMadtProcessorEnabled, uid});
  }
}

void append_override(aml::Bytes& out, std::uint8_t source, Gsi gsi, std::uint16_t flags) {
  append_bytes(out,
               MadtInterruptOverride{MadtType::kInterruptOverride, sizeof(MadtInterruptOverride), 0,
                                     source, gsi.value(), flags});
}

/// NMI at LINT1 of every processor (uid all ones), as the local APIC entries are wired by KVM.
void append_nmis(aml::Bytes& out, bool has_x2apic_entries) {
  append_bytes(out, MadtLocalApicNmi{MadtType::kLocalApicNmi, sizeof(MadtLocalApicNmi), 0xff,
                                     kIntiConforming, kNmiLint});
  if (has_x2apic_entries) {
    append_bytes(out, MadtLocalX2apicNmi{MadtType::kLocalX2apicNmi,
                                         sizeof(MadtLocalX2apicNmi),
                                         kIntiConforming,
                                         0xffff'ffff,
                                         kNmiLint,
                                         {}});
  }
}

}  // namespace

aml::Bytes madt_table(const AcpiInput& input) {
  aml::Bytes body;
  append_bytes(body, static_cast<std::uint32_t>(input.local_apic.value()));
  append_bytes(body, input.has_8259 ? kMadtPcatCompatible : 0U);
  for (std::uint32_t uid = 0; uid < input.apic_ids.size(); ++uid) {
    append_local_apic(body, uid, input.apic_ids[uid]);
  }
  append_bytes(body, MadtIoApic{MadtType::kIoApic, sizeof(MadtIoApic), input.io_apic_id, 0,
                                static_cast<std::uint32_t>(input.io_apic.value()), 0});
  if (input.has_pit) {
    append_override(body, 0, Gsi(2), kIntiConforming);
  }
  // The SCI would be active low by default (5.2.9, SCI_INT); the in-kernel I/O APIC's lines are
  // active high.
  append_override(body, static_cast<std::uint8_t>(input.sci.value()), input.sci,
                  kIntiActiveHigh | kIntiLevel);
  append_nmis(body,
              *std::max_element(input.apic_ids.begin(), input.apic_ids.end()) >= kFirstX2apicId);
  return table_with_body("APIC", 6, body);
}

}  // namespace gpuvm::acpi
