// SPDX-License-Identifier: Apache-2.0
// Inputs of the SRAT, SLIT and HMAT; their bytes are judged by iasl in tests/golden/acpi.
#include <gtest/gtest.h>

#include "firmware/acpi/acpi_tables.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::numa_tables_test {
namespace {

AcpiInput two_nodes() {
  AcpiInput input;
  input.apic_ids = {0, 1};
  AcpiNuma numa;
  numa.cpu_domains = {0, 1};
  numa.memory = {{.range = *GuestRange::create(GuestAddress(0), 1_GiB), .domain = 0},
                 {.range = *GuestRange::create(GuestAddress(1_GiB), 1_GiB), .domain = 1}};
  numa.distances = {{10, 20}, {20, 10}};
  input.numa = numa;
  return input;
}

TEST(NumaTables, AreThereWithNodesOnly) {
  const auto with = build_acpi_blobs(two_nodes()).value().tables.size();
  auto input = two_nodes();
  input.numa.reset();
  EXPECT_LT(build_acpi_blobs(input).value().tables.size(), with);
}

TEST(NumaTables, RefuseGaps) {
  auto input = two_nodes();
  input.numa->cpu_domains.pop_back();
  EXPECT_FALSE(build_acpi_blobs(input).has_value());
  input = two_nodes();
  input.numa->memory[1].domain = 2;
  EXPECT_FALSE(build_acpi_blobs(input).has_value());
  input = two_nodes();
  input.numa->distances[1].pop_back();
  EXPECT_FALSE(build_acpi_blobs(input).has_value());
  input = two_nodes();
  input.numa->initiators = {{.bus = 1, .devfn = 0, .domain = 7}};
  EXPECT_FALSE(build_acpi_blobs(input).has_value());
}

}  // namespace
}  // namespace gpuvm::numa_tables_test
