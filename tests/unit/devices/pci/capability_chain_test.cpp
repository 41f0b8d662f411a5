// SPDX-License-Identifier: Apache-2.0
// Walks of capability chains (PCI Local Bus 3.0, 6.7; PCI Express Base 6.0, 7.6.3), in bytes and in
// a device that is read dword by dword.
#include "devices/pci/capability_chain.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::capability_chain_test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CapabilityChain : public ::testing::Test {
 protected:
  CapabilityChain() {
    set(pci::kCommand, std::uint32_t{pci::kStatusCapabilities} << 16);
    set(pci::kCapabilitiesPointer, 0x43);  // the lowest two bits are reserved
    set(0x40, 0x5001);
    set(0x50, 0x9010);
    set(0x90, 0x0011);
    set(0x100, 0x14010001);
    set(0x140, 0x00010015);
  }
  void set(std::size_t offset, std::uint32_t value) {
    store_le(std::span(config_).subspan(offset, 4), value);
  }
  std::vector<std::uint16_t> offsets(const std::vector<CapabilityHeader>& found) {
    std::vector<std::uint16_t> all;
    for (const auto& capability : found) {
      all.push_back(capability.offset);
    }
    return all;
  }
  /// Counts what is read, and fails where told to.
  ConfigDwordReader reader() {
    return [this](std::uint16_t offset) -> Result<std::uint32_t> {
      reads_.push_back(offset);
      if (offset == fails_at_) {
        return fail(ErrorKind::kHost, "The device has gone");
      }
      return config_dword(config_, offset);
    };
  }

  std::array<std::byte, pci::kConfigSize> config_{};
  std::vector<std::uint16_t> reads_;
  std::uint16_t fails_at_ = 0xffff;
};

TEST_F(CapabilityChain, BothChainsAreWalkedInTheirOrder) {
  EXPECT_THAT(offsets(standard_capabilities(config_)), ElementsAre(0x40, 0x50, 0x90));
  EXPECT_THAT(offsets(extended_capabilities(config_)), ElementsAre(0x100, 0x140));
  EXPECT_EQ(find_capability(config_, 0x11), 0x90);
  EXPECT_EQ(find_capability(config_, 0x13), 0);
}

TEST_F(CapabilityChain, WithoutTheStatusBitThereIsNone) {
  set(pci::kCommand, 0);
  EXPECT_THAT(standard_capabilities(config_), IsEmpty());
}

TEST_F(CapabilityChain, ALoopEnds) {
  set(0x90, 0x4011);
  EXPECT_THAT(offsets(standard_capabilities(config_)), ElementsAre(0x40, 0x50, 0x90));
  set(0x140, 0x10010015);
  EXPECT_THAT(offsets(extended_capabilities(config_)), ElementsAre(0x100, 0x140));
}

TEST_F(CapabilityChain, ADeadDeviceEndsTheWalk) {
  config_.fill(std::byte{0xff});
  EXPECT_THAT(standard_capabilities(config_), SizeIs(1));  // 0xfc, whose next is 0xfc
  EXPECT_THAT(extended_capabilities(config_), IsEmpty());
}

TEST_F(CapabilityChain, APointerIntoTheHeaderOrPastTheEndEndsTheWalk) {
  set(0x50, 0x3c10);
  EXPECT_THAT(offsets(standard_capabilities(config_)), ElementsAre(0x40, 0x50));
  EXPECT_THAT(offsets(standard_capabilities(std::span(config_).first(0x50))), ElementsAre(0x40));
  EXPECT_THAT(standard_capabilities(std::span(config_).first(0x40)), IsEmpty());
  EXPECT_THAT(standard_capabilities({}), IsEmpty());
  EXPECT_THAT(offsets(extended_capabilities(std::span(config_).first(0x142))), ElementsAre(0x100));
  EXPECT_THAT(extended_capabilities(std::span(config_).first(0x100)), IsEmpty());
  set(0x140, 0x0fc10015);
  EXPECT_THAT(offsets(extended_capabilities(config_)), ElementsAre(0x100, 0x140));
}

TEST_F(CapabilityChain, TheLongestChainsAreWalkedToTheirEnd) {
  for (std::uint32_t offset = 0x40; offset < 0x100; offset += 4) {
    set(offset, (offset + 4) << 8 | 0x09);
  }
  EXPECT_THAT(standard_capabilities(config_), SizeIs(48));
  for (std::uint32_t offset = 0x100; offset < 0x1000; offset += 4) {
    set(offset, (offset + 4) << 20 | 0x1000b);
  }
  EXPECT_THAT(extended_capabilities(config_), SizeIs(960));
}

TEST_F(CapabilityChain, InADeviceOnlyWhatIsNeededIsRead) {
  std::uint16_t found = 0;
  ASSERT_TRUE(for_each_capability(reader(), [&found](const CapabilityHeader& capability) {
    found = capability.offset;
    return capability.id != 0x10;
  }));
  EXPECT_EQ(found, 0x50);
  EXPECT_THAT(reads_, ElementsAre(pci::kCommand, pci::kCapabilitiesPointer, 0x40, 0x50));
  reads_.clear();
  ASSERT_TRUE(
      for_each_extended_capability(reader(), [](const CapabilityHeader&) { return false; }));
  EXPECT_THAT(reads_, ElementsAre(0x100));
}

TEST_F(CapabilityChain, ADeviceThatCannotBeReadIsAnError) {
  std::vector<CapabilityHeader> found;
  const auto keep = [&found](const CapabilityHeader& capability) {
    found.push_back(capability);
    return true;
  };
  fails_at_ = 0x90;
  EXPECT_FALSE(for_each_capability(reader(), keep));
  EXPECT_THAT(offsets(found), ElementsAre(0x40, 0x50));
  fails_at_ = pci::kCommand;
  EXPECT_FALSE(for_each_capability(reader(), keep));
  fails_at_ = 0x140;
  EXPECT_FALSE(for_each_extended_capability(reader(), keep));
}

}  // namespace
}  // namespace gpuvm::capability_chain_test
