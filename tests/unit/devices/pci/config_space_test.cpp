// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/config_space.hpp"

#include <gtest/gtest.h>

#include <set>

namespace gpuvm::config_space_test {
namespace {

TEST(ConfigSpace, StartsEmpty) {
  ConfigSpace space;
  for (std::uint32_t offset = 0; offset < pci::kConfigSize; offset += 4) {
    EXPECT_EQ(space.read(static_cast<std::uint16_t>(offset)), 0U);
  }
}

TEST(ConfigSpace, IdentityAndClass) {
  ConfigSpace space;
  space.define_identity(0x1234, 0x5678, 0x060401);
  EXPECT_EQ(space.read(0x00), 0x56781234U);
  EXPECT_EQ(space.read(0x08), 0x06040100U);
  EXPECT_EQ(space.read(pci::kDeviceId, 2), 0x5678U);
  EXPECT_EQ(space.read(pci::kClassCode, 1), 0x01U);
}

TEST(ConfigSpace, OnlyWritableBitsUnderTheByteLanesChange) {
  ConfigSpace space;
  space.define({.offset = 0x10, .reset_value = 0x11223344, .writable = 0x00ffff00});
  const auto change = space.write(0x10, 0xaabbccdd, 0xffff00ff);
  EXPECT_EQ(change.before, 0x11223344U);
  EXPECT_EQ(change.after, 0x11bb3344U);
  EXPECT_EQ(space.read(0x10), 0x11bb3344U);
}

// PCI Express Base 6.0, 7.4: RW1C bits clear by writing 1; writing 0 leaves them.
TEST(ConfigSpace, WriteOneToClear) {
  ConfigSpace space;
  space.define({.offset = 0x06, .size = 2, .write_one_to_clear = 0xf900});
  space.set(0x04, 0xf9000000, 0xffff0000);
  space.write(0x04, 0, 0xffff0000);
  EXPECT_EQ(space.read(0x06, 2), 0xf900U);
  space.write(0x04, 0x80000000, 0x00ff0000);  // that byte lane is not written
  EXPECT_EQ(space.read(0x06, 2), 0xf900U);
  space.write(0x04, 0x8000ffff, 0xff000000);
  EXPECT_EQ(space.read(0x06, 2), 0x7900U);
}

TEST(ConfigSpace, NeighbouringRegistersOfADwordAreIndependent) {
  ConfigSpace space;
  space.define({.offset = 0x18, .size = 1, .reset_value = 1, .writable = 0xff});
  space.define({.offset = 0x19, .size = 1, .reset_value = 2});
  space.define({.offset = 0x1a, .size = 2, .reset_value = 0x0403, .writable = 0xf0f0});
  EXPECT_EQ(space.read(0x18), 0x04030201U);
  space.write(0x18, 0xffffffff, 0xffffffff);
  EXPECT_EQ(space.read(0x18), 0xf4f302ffU);
}

TEST(ConfigSpace, ResetRestoresDefinedValues) {
  ConfigSpace space;
  space.define({.offset = 0x40, .reset_value = 5, .writable = 0xffffffff});
  space.write(0x40, 9, 0xffffffff);
  space.set(0x44, 7, 0xff);
  space.reset();
  EXPECT_EQ(space.read(0x40), 5U);
  EXPECT_EQ(space.read(0x44), 0U);
  space.write(0x40, 9, 0xffffffff);
  EXPECT_EQ(space.read(0x40), 9U) << "write masks survive a reset";
}

// Offsets beyond the space come only from our own mistakes, but must not leave the array.
TEST(ConfigSpace, OffsetsNeverLeaveTheSpace) {
  ConfigSpace space;
  space.define({.offset = 0x1000, .reset_value = 1});
  space.define({.offset = 0x0f, .size = 2, .reset_value = 0xffff});  // crosses a dword
  EXPECT_EQ(space.read(0x0c), 0U);
  space.write(0xffff, 0xffffffff, 0xffffffff);
  EXPECT_EQ(space.read(0xfffc), 0U);
}

// PCI Express Base 6.0, 7.5.1.1.11: a chain of next pointers from 0x34, ended by 0.
TEST(ConfigSpace, LinksStandardCapabilities) {
  ConfigSpace space;
  EXPECT_EQ(space.read(pci::kStatus, 2) & pci::kStatusCapabilities, 0U);
  const auto first = space.add_capability(pci::CapabilityId::kPowerManagement, 8);
  const auto second = space.add_capability(pci::CapabilityId::kMsi, 14);
  const auto third = space.add_capability(pci::CapabilityId::kPciExpress, 0x3c);
  ASSERT_TRUE(first && second && third);
  EXPECT_NE(space.read(pci::kStatus, 2) & pci::kStatusCapabilities, 0U);
  std::vector<unsigned> ids;
  std::set<unsigned> seen;
  for (auto at = space.read(pci::kCapabilitiesPointer, 1); at != 0;) {
    ASSERT_EQ(at % 4, 0U);
    ASSERT_TRUE(seen.insert(at).second) << "loop";
    ids.push_back(space.read(static_cast<std::uint16_t>(at), 1));
    at = space.read(static_cast<std::uint16_t>(at + 1), 1);
  }
  EXPECT_EQ(ids, (std::vector<unsigned>{0x01, 0x05, 0x10}));
  EXPECT_GE(*third, *second + 14);
}

TEST(ConfigSpace, CapabilitiesThatDoNotFitAreRefused) {
  ConfigSpace space;
  ASSERT_TRUE(space.add_capability(pci::CapabilityId::kVendorSpecific, 0xc0));
  EXPECT_FALSE(space.add_capability(pci::CapabilityId::kMsi, 14));
}

}  // namespace
}  // namespace gpuvm::config_space_test
