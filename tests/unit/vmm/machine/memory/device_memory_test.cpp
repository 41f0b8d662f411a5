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

}  // namespace
}  // namespace gpuvm::device_memory_test
