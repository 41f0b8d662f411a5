// SPDX-License-Identifier: Apache-2.0
// The AML's meaning is judged by iasl and acpiexec in tests/golden/acpi; here are the numbers.
#include "devices/pci/pci_acpi.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "devices/pci/root_port.hpp"
#include "firmware/acpi/aml_resource.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::pci_acpi_test {
namespace {

PciAcpiConfig config() {
  return {.ecam = *GuestRange::create(GuestAddress(0xe0000000), 32_MiB),
          .buses = 32,
          .io_windows = {*PortRange::create(IoPort(0xd00), 0xf300)},
          .memory_windows = {*GuestRange::create(GuestAddress(0x80000000), 1_GiB),
                             *GuestRange::create(GuestAddress(0x10'0000'0000), 256_GiB)},
          .devices = {0, 2, 3}};
}

bool contains(const aml::Term& haystack, const aml::Term& needle) {
  return std::search(haystack.bytes.begin(), haystack.bytes.end(), needle.bytes.begin(),
                     needle.bytes.end()) != haystack.bytes.end();
}

TEST(PciAcpi, PinsOfOneDeviceDifferAndStayInTheIoApic) {
  for (std::uint8_t device = 0; device < 32; ++device) {
    std::set<std::uint32_t> pins;
    for (unsigned pin = 0; pin < 4; ++pin) {
      const auto gsi = intx_gsi(device, pin).value();
      EXPECT_GE(gsi, 16U);
      EXPECT_LE(gsi, 23U);
      pins.insert(gsi);
    }
    EXPECT_EQ(pins.size(), 4U);
  }
}

// PCI-to-PCI Bridge 1.2, 9.1: device 0 behind a bridge keeps its pin; device 1 is moved by one.
TEST(PciAcpi, Swizzle) {
  EXPECT_EQ(intx_gsi_behind(2, 0, 0), intx_gsi(2, 0));
  EXPECT_EQ(intx_gsi_behind(2, 0, 3), intx_gsi(2, 3));
  EXPECT_EQ(intx_gsi_behind(2, 1, 0), intx_gsi(2, 1));
  EXPECT_EQ(intx_gsi_behind(2, 1, 3), intx_gsi(2, 0));
}

TEST(PciAcpi, RoutesTheDevicesInUseAndNoOthers) {
  const auto terms = aml::join(PciAcpi(config()).acpi());
  const auto entry = [](unsigned device, unsigned pin, std::uint32_t gsi) {
    return aml::package({aml::integer(std::uint64_t{device} << 16 | 0xffff), aml::integer(pin),
                         aml::integer(0), aml::integer(gsi)});
  };
  for (const std::uint8_t device : std::to_array<std::uint8_t>({0, 2, 3})) {
    for (unsigned pin = 0; pin < 4; ++pin) {
      EXPECT_TRUE(contains(terms, entry(device, pin, intx_gsi(device, pin).value())));
    }
  }
  EXPECT_FALSE(contains(terms, aml::integer(0x0001ffff)));
}

TEST(PciAcpi, ResourcesHoldTheWindows) {
  const auto terms = aml::join(PciAcpi(config()).acpi());
  EXPECT_TRUE(contains(terms, aml::word_bus_number(0, 31)));
  EXPECT_TRUE(contains(terms, aml::io_range({.base = 0xcf8, .length = 8})));
  EXPECT_TRUE(contains(terms, aml::word_io(0xd00, 0xffff)));
  EXPECT_TRUE(contains(terms, aml::dword_memory(0x80000000, 0xbfffffff)));
  EXPECT_TRUE(contains(terms, aml::qword_memory(0x10'0000'0000, 0x4f'ffff'ffff)));
  aml::MemoryWindow consumed;
  consumed.usage = aml::Usage::kConsumer;
  EXPECT_TRUE(contains(terms, aml::dword_memory(0xe0000000, 0xe1ffffff, consumed)));
}

// ACPI 6.5, 6.2.14.
TEST(PciAcpi, ProximityDomainOnlyWhereItIsKnown) {
  auto with = config();
  with.proximity_domain = 3;
  const auto term = aml::name("_PXM", aml::integer(3));
  EXPECT_TRUE(contains(aml::join(PciAcpi(with).acpi()), term));
  const auto without = aml::join(PciAcpi(config()).acpi());
  EXPECT_FALSE(contains(without, {{term.bytes.begin(), term.bytes.begin() + 5}})) << "_PXM at all";
}

TEST(PciAcpi, RootPortNode) {
  auto port = RootPort::create({.name = "port1", .device = 2, .function = 1});
  ASSERT_TRUE(port);
  EXPECT_EQ((*port)->acpi_path(), "\\_SB.PCI0.S11");
  EXPECT_TRUE(contains(aml::join((*port)->acpi()), aml::name("_ADR", aml::integer(0x00020001))));
}

}  // namespace
}  // namespace gpuvm::pci_acpi_test
