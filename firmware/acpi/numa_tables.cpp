// SPDX-License-Identifier: Apache-2.0
// SRAT, SLIT and HMAT (ACPI 6.5, 5.2.16, 5.2.17, 5.2.27).
#include <algorithm>

#include "firmware/acpi/table_writers.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::acpi {
namespace {

/// A picosecond number for one step of SLIT distance, which is relative: 10 stand for 100 ns.
constexpr std::uint64_t kPicosecondsPerStep = 10'000;

void append_affinity(aml::Bytes& out, std::uint32_t apic_id, std::uint32_t domain) {
  if (apic_id >= kFirstX2apicId) {
    append_bytes(out, SratX2apic{.type = SratType::kX2apic,
                                 .length = sizeof(SratX2apic),
                                 .reserved0 = 0,
                                 .domain = domain,
                                 .apic_id = apic_id,
                                 .flags = kSratEnabled,
                                 .clock_domain = 0,
                                 .reserved1 = 0});
    return;
  }
  append_bytes(out, SratLocalApic{.type = SratType::kLocalApic,
                                  .length = sizeof(SratLocalApic),
                                  .domain_low = static_cast<std::uint8_t>(domain),
                                  .apic_id = static_cast<std::uint8_t>(apic_id),
                                  .flags = kSratEnabled,
                                  .sapic_eid = 0,
                                  .domain_high = {static_cast<std::uint8_t>(domain >> 8),
                                                  static_cast<std::uint8_t>(domain >> 16),
                                                  static_cast<std::uint8_t>(domain >> 24)},
                                  .clock_domain = 0});
}

void append_memory(aml::Bytes& out, const AcpiNumaMemory& memory) {
  append_bytes(out, SratMemory{.type = SratType::kMemory,
                               .length = sizeof(SratMemory),
                               .domain = memory.domain,
                               .reserved0 = 0,
                               .base = memory.range.base().value(),
                               .size = memory.range.size(),
                               .reserved1 = 0,
                               .flags = kSratEnabled | (memory.is_device ? kSratHotPluggable : 0U),
                               .reserved2 = 0});
}

void append_initiator(aml::Bytes& out, const AcpiNumaInitiator& initiator) {
  append_bytes(out, SratInitiator{.type = SratType::kGenericInitiator,
                                  .length = sizeof(SratInitiator),
                                  .reserved0 = 0,
                                  .handle_type = kSratHandlePci,
                                  .domain = initiator.domain,
                                  .segment = 0,
                                  .bus = initiator.bus,
                                  .devfn = initiator.devfn,
                                  .reserved1 = {},
                                  .flags = kSratEnabled,
                                  .reserved2 = 0});
}

std::vector<std::uint32_t> sorted(std::vector<std::uint32_t> domains) {
  std::sort(domains.begin(), domains.end());
  domains.erase(std::unique(domains.begin(), domains.end()), domains.end());
  return domains;
}

/// Of the domains with processors, the one nearest to this one.
std::uint32_t nearest(const AcpiNuma& numa, const std::vector<std::uint32_t>& initiators,
                      std::uint32_t domain) {
  return *std::min_element(initiators.begin(), initiators.end(),
                           [&](std::uint32_t a, std::uint32_t b) {
                             return numa.distances[a][domain] < numa.distances[b][domain];
                           });
}

/// 5.2.27.3: which processors are nearest to each domain's memory.
void append_proximities(aml::Bytes& out, const AcpiNuma& numa,
                        const std::vector<std::uint32_t>& initiators,
                        const std::vector<std::uint32_t>& targets) {
  for (const std::uint32_t target : targets) {
    append_bytes(out, HmatProximity{.type = kHmatProximity,
                                    .reserved0 = 0,
                                    .length = sizeof(HmatProximity),
                                    .flags = kHmatInitiatorValid,
                                    .reserved1 = 0,
                                    .initiator = nearest(numa, initiators, target),
                                    .memory = target,
                                    .reserved2 = {}});
  }
}

/// 5.2.27.4: access latencies between processors and memory.
void append_latencies(aml::Bytes& out, const AcpiNuma& numa,
                      const std::vector<std::uint32_t>& initiators,
                      const std::vector<std::uint32_t>& targets) {
  const std::size_t length = sizeof(HmatLocality) + 4 * initiators.size() + 4 * targets.size() +
                             2 * initiators.size() * targets.size();
  append_bytes(out, HmatLocality{.type = kHmatLocality,
                                 .reserved0 = 0,
                                 .length = static_cast<std::uint32_t>(length),
                                 .flags = 0,
                                 .data_type = kHmatAccessLatency,
                                 .minimum_transfer = 0,
                                 .reserved1 = 0,
                                 .initiators = static_cast<std::uint32_t>(initiators.size()),
                                 .targets = static_cast<std::uint32_t>(targets.size()),
                                 .reserved2 = 0,
                                 .base_unit = kPicosecondsPerStep});
  for (const auto* domains : {&initiators, &targets}) {
    for (const std::uint32_t domain : *domains) {
      append_bytes(out, domain);
    }
  }
  for (const std::uint32_t initiator : initiators) {
    for (const std::uint32_t target : targets) {
      append_bytes(out, std::uint16_t{numa.distances[initiator][target]});
    }
  }
}

}  // namespace

aml::Bytes srat_table(const AcpiInput& input) {
  const AcpiNuma& numa = *input.numa;
  aml::Bytes body;
  append_bytes(body, SratBody{.reserved0 = 1, .reserved1 = 0});
  for (std::size_t i = 0; i < input.apic_ids.size(); ++i) {
    append_affinity(body, input.apic_ids[i], numa.cpu_domains[i]);
  }
  for (const AcpiNumaMemory& memory : numa.memory) {
    append_memory(body, memory);
  }
  for (const AcpiNumaInitiator& initiator : numa.initiators) {
    append_initiator(body, initiator);
  }
  return table_with_body("SRAT", 3, body);
}

aml::Bytes slit_table(const AcpiNuma& numa) {
  aml::Bytes body;
  append_bytes(body, std::uint64_t{numa.distances.size()});
  for (const auto& row : numa.distances) {
    for (const std::uint8_t distance : row) {
      append_bytes(body, distance);
    }
  }
  return table_with_body("SLIT", 1, body);
}

aml::Bytes hmat_table(const AcpiNuma& numa) {
  std::vector<std::uint32_t> targets;
  for (const AcpiNumaMemory& memory : numa.memory) {
    targets.push_back(memory.domain);
  }
  targets = sorted(std::move(targets));
  const auto initiators = sorted(numa.cpu_domains);
  aml::Bytes body;
  append_bytes(body, std::uint32_t{0});  // reserved
  append_proximities(body, numa, initiators, targets);
  append_latencies(body, numa, initiators, targets);
  return table_with_body("HMAT", 2, body);
}

}  // namespace gpuvm::acpi
