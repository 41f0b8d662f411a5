// SPDX-License-Identifier: Apache-2.0
// Places of devices' memory: above RAM, or where the host has it.
#include "vmm/machine/memory/device_memory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm/base/units.hpp"
#include "vmm/machine/pci/pci_plan.hpp"

namespace gpuvm::device_memory_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr unsigned kBits = 40;

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

class DeviceMemoryTest : public ::testing::Test {
 protected:
  Result<std::vector<GuestRange>> place(const std::vector<DeviceMemory>& wanted,
                                        unsigned bits = kBits) {
    return place_device_memory(memory_, wanted, bits);
  }
  std::string error(std::uint64_t at, std::uint64_t size = 1_GiB, unsigned bits = kBits) {
    const auto placed = place({{.name = "gpu0", .size = size, .at = GuestAddress(at)}}, bits);
    EXPECT_FALSE(placed);
    return placed ? "" : placed.error().to_string();
  }
  /// RAM: 2 GiB below the hole, 1 GiB from 4 GiB on.
  GuestMemory memory_ = GuestMemory::create({.size = 3_GiB, .low_limit = 2_GiB}).value();
};

TEST_F(DeviceMemoryTest, GoesAboveRam) {
  EXPECT_THAT(place({{.name = "a", .size = 3_GiB}, {.name = "b", .size = 1_GiB}}).value(),
              ElementsAre(range(6_GiB, 3_GiB), range(10_GiB, 1_GiB)));
  EXPECT_TRUE(place({}).value().empty());
}

TEST_F(DeviceMemoryTest, MayHaveTheHostsAddressWithOthersAround) {
  const auto placed = place({{.name = "a", .size = 3_GiB},
                             {.name = "b", .size = 1_GiB, .at = GuestAddress(7_GiB)},
                             {.name = "c", .size = 2_MiB, .at = GuestAddress(256_GiB + 2_MiB)}});
  EXPECT_THAT(placed.value(),
              ElementsAre(range(8_GiB, 3_GiB), range(7_GiB, 1_GiB), range(256_GiB + 2_MiB, 2_MiB)));
}

TEST_F(DeviceMemoryTest, RefusesAddressesThatTheGuestCannotHave) {
  EXPECT_THAT(
      error(4_GiB + 512_MiB),
      AllOf(HasSubstr("gpu0: Its memory is at 0x120000000 to 0x15fffffff on the host, where "
                      "the guest has RAM (0x100000000 to 0x13fffffff)"),
            HasSubstr("less memory"), HasSubstr("place = \"host\"")));
  EXPECT_THAT(error(3_GiB), HasSubstr("below 4 GiB"));
  EXPECT_THAT(error(64_GiB + 4096), HasSubstr("whole 2 MiB"));
  EXPECT_THAT(error(64_GiB, 1_GiB, 36), HasSubstr("address only 36 bits"));
  EXPECT_THAT(error(~std::uint64_t{0} - 2_MiB + 1), HasSubstr("on the host"));
  EXPECT_THAT(error(64_GiB - 1_GiB, 2_GiB, 36), HasSubstr("address only 36 bits"));
  const auto both = place({{.name = "a", .size = 2_GiB, .at = GuestAddress(8_GiB)},
                           {.name = "b", .size = 2_GiB, .at = GuestAddress(9_GiB)}});
  EXPECT_THAT(both.error().to_string(), HasSubstr("b: Its memory"));
}

TEST_F(DeviceMemoryTest, RefusesWhatHasNoRoom) {
  const auto placed = place({{.name = "a", .size = 64_GiB}}, 36);
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(placed.error().to_string(), HasSubstr("no room"));
}

TEST_F(DeviceMemoryTest, BarsTakeTheUppermostGapWithRoom) {
  EXPECT_THAT(free_above_memory(memory_, {}, 36), ElementsAre(range(5_GiB, 59_GiB)));
  const std::vector<GuestRange> taken = {range(62_GiB, 2_GiB), range(6_GiB, 2_GiB)};
  const auto gaps = free_above_memory(memory_, taken, 36);
  EXPECT_THAT(gaps, ElementsAre(range(5_GiB, 1_GiB), range(8_GiB, 54_GiB)));
  EXPECT_EQ(plan_pci(gaps, {}).value().aperture64, range(8_GiB, 32_GiB));
  EXPECT_EQ(
      plan_pci(std::vector{range(5_GiB, 1_GiB), range(8_GiB, 512_MiB)}, {}).value().aperture64,
      range(5_GiB, 1_GiB));
  EXPECT_FALSE(plan_pci({}, {}));
}

/// Where AMD's processors and IOMMUs have no memory: HyperTransport's.
GuestRange amd_hole() {
  return range(0xfd00000000, 12_GiB);
}

PortRequest port_with_bar(std::uint64_t size) {
  PortRequest port{.name = "root port"};
  port.bars.push_back(
      {.function = "gpu",
       .description = {.kind = BarKind::kMemory64, .size = size, .prefetchable = true}});
  return port;
}

// 8 BARs of 128 GiB behind 384 GiB of RAM: 512 GiB to 1.5 TiB would be the next place that is
// aligned, across the hole.
TEST(Amd, WindowsLeaveTheHoleBelow1TiBOut) {
  const auto memory = GuestMemory::create({.size = 384_GiB}).value();
  const std::vector<PortRequest> ports(8, port_with_bar(128_GiB));
  const auto plan = plan_pci(free_above_memory(memory, {}, 46), ports).value();
  EXPECT_FALSE(plan.aperture64.overlaps(amd_hole()));
  for (const auto& placement : plan.placements) {
    const auto bar = range(placement.addresses.at(0), 128_GiB);
    EXPECT_FALSE(bar.overlaps(amd_hole())) << placement.addresses.at(0);
    EXPECT_TRUE(plan.aperture64.contains(bar.base(), bar.size()));
  }
}

TEST(Amd, MemoryOfADeviceLeavesTheHoleOut) {
  const auto memory = GuestMemory::create({.size = 900_GiB}).value();
  const std::vector<DeviceMemory> wanted = {{.name = "a", .size = 96_GiB},
                                            {.name = "b", .size = 96_GiB}};
  const auto placed = place_device_memory(memory, wanted, 46).value();
  EXPECT_THAT(placed, ElementsAre(range(902_GiB, 96_GiB), range(1024_GiB, 96_GiB)));
}

TEST(Amd, WindowsStayBelow1TiBWhereThereIsRoom) {
  const auto memory = GuestMemory::create({.size = 16_GiB}).value();
  const auto free = free_above_memory(memory, {}, 46);
  EXPECT_THAT(free, ElementsAre(range(18_GiB, 994_GiB), range(1024_GiB, (1ULL << 46) - 1024_GiB)));
  EXPECT_EQ(plan_pci(free, {}).value().aperture64, range(18_GiB, 32_GiB));
  EXPECT_THAT(free_above_memory(memory, {}, 40), ElementsAre(range(18_GiB, 994_GiB)));
}

TEST(Amd, WindowsAreBehindRamAbove1TiB) {
  const auto memory = GuestMemory::create({.size = 1100_GiB}).value();
  EXPECT_EQ(end_of_memory(memory), GuestAddress(1114_GiB));
  EXPECT_THAT(free_above_memory(memory, {}, 41), ElementsAre(range(1114_GiB, 934_GiB)));
}

IovaRange iovas(std::uint64_t first, std::uint64_t end) {
  return *IovaRange::create(Iova(first), end - first);
}

// Intel's of a desktop: 39 bits, without the interrupts' page below 4 GiB.
TEST(Iommu, WindowsAreWhereItMaps) {
  const std::vector<GuestRange> free = {range(18_GiB, 994_GiB), range(1024_GiB, 1024_GiB)};
  const std::vector<IovaRange> usable = {iovas(0, 0xfee00000), iovas(0xfef00000, 60_GiB),
                                         iovas(61_GiB, 512_GiB)};
  EXPECT_THAT(reachable(free, usable), ElementsAre(range(18_GiB, 42_GiB), range(61_GiB, 451_GiB)));
  const std::vector<PortRequest> small = {port_with_bar(64_GiB)};
  EXPECT_EQ(plan_pci(free, usable, small).value().aperture64, range(64_GiB, 128_GiB));
  const std::vector<PortRequest> large = {port_with_bar(256_GiB)};
  EXPECT_EQ(plan_pci(free, usable, large).value().aperture64, range(256_GiB, 512_GiB))
      << "no room within reach";
  EXPECT_EQ(plan_pci(free, {}, large).value().aperture64, range(256_GiB, 512_GiB));
}

}  // namespace
}  // namespace gpuvm::device_memory_test
