// SPDX-License-Identifier: Apache-2.0
// Which root ports there are, with those that are kept free, and what is reserved behind these.
#include "vmm/machine/pci/pci_plan.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "vmm/base/units.hpp"

namespace gpuvm::pci_plan_test {
namespace {

using testing::ElementsAre;

/// Functions behind these ports, one each.
std::vector<HostFunction> behind(const std::vector<std::uint8_t>& ports) {
  std::vector<HostFunction> functions;
  for (const std::uint8_t port : ports) {
    HostFunction function;
    function.port = port;
    functions.push_back(function);
  }
  return functions;
}

std::vector<unsigned> numbers(const std::vector<PlannedPort>& ports, bool free) {
  std::vector<unsigned> found;
  for (const auto& port : ports) {
    if (port.is_free == free) {
      found.push_back(port.number);
    }
  }
  return found;
}

TEST(PlanPorts, WithoutFreeOnesAsEver) {
  const auto functions = behind({1, 3});
  const auto ports = plan_ports(pointers_to(functions));
  EXPECT_THAT(numbers(ports, false), ElementsAre(0, 1, 3));
  EXPECT_THAT(numbers(ports, true), ElementsAre());
}

TEST(PlanPorts, FreeOnesHaveTheLowestNumbersThatNobodyTakes) {
  const auto functions = behind({1, 3});
  const auto ports = plan_ports(pointers_to(functions), 3);
  EXPECT_THAT(numbers(ports, false), ElementsAre(1, 3));
  EXPECT_THAT(numbers(ports, true), ElementsAre(0, 2, 4));
  EXPECT_EQ(bus_count(ports), 6U);
  std::vector<unsigned> buses;
  std::transform(ports.begin(), ports.end(), std::back_inserter(buses),
                 [](const PlannedPort& port) { return port.bus; });
  EXPECT_THAT(buses, ElementsAre(1, 2, 3, 4, 5)) << "a bus each";
}

TEST(PlanPorts, FreeOnesShareDevicesAsOthersDo) {
  const auto functions = behind({0, 1, 2, 3, 4, 5, 6, 7});
  const auto ports = plan_ports(pointers_to(functions), 2);
  EXPECT_THAT(numbers(ports, true), ElementsAre(8, 9));
  EXPECT_TRUE(ports[8].shares_device);
  EXPECT_TRUE(ports[9].shares_device);
}

TEST(PlanPorts, NoMoreThanThereAre) {
  std::vector<std::uint8_t> all(kRootPorts);
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = static_cast<std::uint8_t>(i);
  }
  all.pop_back();
  const auto functions = behind(all);
  const auto ports = plan_ports(pointers_to(functions), kMostFreePorts);
  EXPECT_EQ(ports.size(), kRootPorts);
  EXPECT_THAT(numbers(ports, true), ElementsAre(31));
}

TEST(PlanPorts, WhatIsReservedBecomesWindows) {
  const PortRequest request{.name = "root port 2", .bars = reservation_of(64_GiB)};
  PciApertures apertures;
  apertures.memory32 = GuestRange::create(GuestAddress(0x80000000), 1_GiB);
  apertures.memory64 = GuestRange::create(GuestAddress(256_GiB), 256_GiB);
  const auto placed = place_bars(apertures, {&request, 1});
  ASSERT_TRUE(placed) << placed.error().to_string();
  const auto& port = placed->front();
  ASSERT_TRUE(port.memory && port.prefetchable);
  EXPECT_EQ(port.memory->size(), kReservedMemory32);
  EXPECT_EQ(port.prefetchable->size(), 64_GiB);
  EXPECT_EQ(port.prefetchable->base().value() % 64_GiB, 0U);
  EXPECT_FALSE(port.io);
}

TEST(PlanPorts, WhatCannotBeReservedIsNamed) {
  const PortRequest request{.name = "root port 2", .bars = reservation_of(512_GiB)};
  PciApertures apertures;
  apertures.memory32 = GuestRange::create(GuestAddress(0x80000000), 1_GiB);
  apertures.memory64 = GuestRange::create(GuestAddress(256_GiB), 256_GiB);
  const auto placed = place_bars(apertures, {&request, 1});
  ASSERT_FALSE(placed);
  EXPECT_THAT(placed.error().to_string(), testing::HasSubstr("machine.reserve"));
}

}  // namespace
}  // namespace gpuvm::pci_plan_test
