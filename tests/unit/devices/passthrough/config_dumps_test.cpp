// SPDX-License-Identifier: Apache-2.0
// ConfigPatch over configuration spaces of real GPUs, their audio functions and USB controllers
// (tests/fixtures/config_space, the source stated in each): which capabilities a guest finds, and
// what must hold of every device. tests/golden/config_patch shows the same dumps to lspci.
#include <gtest/gtest.h>

#include <algorithm>

#include "devices/passthrough/config_patch.hpp"
#include "devices/passthrough/gpudirect.hpp"
#include "devices/passthrough/integrated_graphics.hpp"
#include "devices/pci/pci_spec.hpp"
#include "tests/fixtures/config_space/config_dump.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::config_dumps_test {
namespace {

using Ids = std::vector<std::uint16_t>;

struct Dump {
  const char* name;
  Ids standard;  ///< as the hardware has them
  Ids extended;
  Ids guest_standard;
  Ids guest_extended;
  PcieLink link;  ///< what the hardware trained to
};

const std::vector<Dump>& dumps() {
  static const std::vector<Dump> kDumps = {
      {"nvidia-mx150",
       {1, 5, 0x10},
       {2, 0x18, 0x1e, 4, 1, 0xb, 0x19},
       {1, 5, 0x10},
       {2, 4, 1, 0xb},
       {3, 4}},
      {"nvidia-gt218", {1, 5, 0x10, 9}, {2, 4, 0xb}, {1, 5, 0x10, 9}, {2, 4, 0xb}, {1, 16}},
      {"nvidia-gt218-audio", {1, 5, 0x10}, {}, {1, 5, 0x10}, {}, {1, 16}},
      {"amd-fiji",
       {9, 1, 0x10, 5},
       {0xb, 1, 0x15, 0x19, 0xf, 0x13, 0x1b, 0xe},
       {9, 1, 0x10, 5},
       {0xb, 1, 0x15},
       {3, 16}},
      {"amd-navi10",
       {9, 1, 0x10, 5},
       {0xb, 1, 0x15, 4, 0x19, 0xd, 0xf, 0x13, 0x1b, 0x18, 0x25, 0x26, 0x27},
       {9, 1, 0x10, 5},
       {0xb, 1, 0x15, 4},
       {4, 16}},
      {"intel-skylake", {9, 0x10, 5, 1}, {0x1b, 0xf, 0x13}, {9, 0x10, 5, 1}, {}, {1, 1}},
      {"intel-a770", {9, 0x10, 5, 1}, {}, {9, 0x10, 5, 1}, {}, {1, 1}},
      {"intel-82576", {1, 5, 0x11, 0x10}, {1, 3, 0xe, 0x10}, {1, 5, 0x11, 0x10}, {1, 3}, {1, 4}},
      {"ti-tusb73x0", {1, 5, 0x10, 0x11}, {1, 3}, {1, 5, 0x10, 0x11}, {1, 3}, {1, 1}},
      {"intel-uhci", {0x13}, {}, {0x13}, {}, {1, 1}},
      {"nvidia-ehci", {0xa, 1}, {}, {0xa, 1}, {}, {1, 1}},
      // Its chain goes back; MSI-X at c8 and SR-IOV at bcc are there, but no link reaches them.
      {"nvidia-ga104",
       {1, 5, 0x10, 9},
       {2, 0x1e, 4, 1, 0xb, 0x19, 0x15, 0x26, 0x27, 0x25},
       {1, 5, 0x10, 9},
       {2, 4, 1, 0xb, 0x15},
       {1, 16}},
      // Link Capabilities and Link Status are zero.
      {"nvidia-gk106", {1, 5, 0x10, 9}, {}, {1, 5, 0x10, 9}, {}, {1, 1}},
      {"amd-fiji-kvm", {9, 1, 0x10, 5}, {}, {9, 1, 0x10, 5}, {}, {1, 16}},
      // 64 GT/s; its chain goes back.
      {"cadence-gen6",
       {1, 5, 0x11, 0x10},
       {1,    3,    4,    0x18, 0x17, 0x19, 0xb,  0x1b, 2,    0x1e,
        0x25, 0x27, 0x26, 0x2a, 0x31, 0x32, 0x33, 0x34, 0x2b, 0x2f},
       {1, 5, 0x11, 0x10},
       {1, 3, 4, 0xb, 2},
       {5, 4}},
      // Enhanced Allocation in place of BARs; the hidden ARI comes first.
      {"thunderx-ea", {0x10, 0x11, 0x14}, {0xe, 0xb, 0x10}, {0x10, 0x11}, {0xb}, {1, 1}},
      {"ide-endpoint",
       {1, 0x10},
       {1, 0x10, 0xe, 0x19, 0x26, 0x27, 0xd, 0x2a, 0x1b, 0x30, 0x2e},
       {1, 0x10},
       {1},
       {5, 16}},
      {"cxl-endpoint",
       {0x10, 5, 1},
       {1, 8, 9, 0x12, 0x18, 0x17, 0xf, 0x15, 0x19, 0x13, 0x1b, 0x1f, 0x10, 0xb, 0x23, 3},
       {0x10, 5, 1},
       {1, 8, 9, 0x15, 0xb, 0x23, 3},
       {1, 1}},
  };
  return kDumps;
}

std::vector<std::byte> load(const char* name) {
  return test::load_config_dump(name);
}

std::vector<std::byte> guest_view(const std::vector<std::byte>& config, const ConfigPatch& patch) {
  auto view = config;
  for (std::uint16_t offset = 0; offset < view.size(); offset += 4) {
    const std::span<std::byte> dword(view.data() + offset, 4);
    store_le(dword, patch.apply(offset, static_cast<std::uint32_t>(load_le(dword))));
  }
  return view;
}

Ids ids(const std::vector<CapabilityHeader>& chain) {
  Ids out;
  std::transform(chain.begin(), chain.end(), std::back_inserter(out),
                 [](const CapabilityHeader& capability) { return capability.id; });
  return out;
}

std::uint32_t dword(const std::vector<std::byte>& config, std::size_t offset) {
  return load_at<std::uint32_t>(config, offset).value_or(0);
}

class ConfigDumps : public ::testing::TestWithParam<Dump> {
 protected:
  const std::vector<std::byte> config_ = load(GetParam().name);
  const ConfigPatch patch_ = ConfigPatch::create(config_, {.link = GetParam().link});
  const std::vector<std::byte> view_ = guest_view(config_, patch_);
};

TEST_P(ConfigDumps, Chains) {
  EXPECT_EQ(ids(standard_capabilities(config_)), GetParam().standard);
  EXPECT_EQ(ids(extended_capabilities(config_)), GetParam().extended);
  EXPECT_EQ(ids(standard_capabilities(view_)), GetParam().guest_standard);
  auto extended = ids(extended_capabilities(view_));
  std::erase(extended, 0);  // stands for a hidden first one
  EXPECT_EQ(extended, GetParam().guest_extended);
}

TEST_P(ConfigDumps, BothEndsOfTheLinkShowTheSame) {
  const auto express = find_capability(view_, 0x10);
  if (express == 0) {
    return;  // a PCI device
  }
  const auto status = dword(view_, express + 0x10U) >> 16;
  EXPECT_EQ(status & 0xf, GetParam().link.speed);
  EXPECT_EQ(status >> 4 & 0x3f, GetParam().link.width);
  const auto capable = dword(view_, express + 0x0cU);
  EXPECT_GE(capable & 0xf, GetParam().link.speed);
  EXPECT_GE(capable >> 4 & 0x3f, GetParam().link.width);
  EXPECT_EQ(capable & (3U << 10 | 1U << 18), 0U) << "ASPM and clock power management";
  EXPECT_EQ(dword(view_, express + 0x10U) & 0x103, 0U) << "and their enables";
  EXPECT_NE(dword(view_, express) >> 20 & 0xf, 9U) << "no endpoint of a root complex behind a port";
  EXPECT_TRUE(patch_.drops_writes(static_cast<std::uint16_t>(express + 0x10)));
  EXPECT_EQ(dword(view_, express + 0x24U) & 1U << 11, 0U) << "LTR";
}

// What a guest reads but does not own: identity, BARs and class are the hardware's.
TEST_P(ConfigDumps, HeaderIsTheHardwares) {
  for (std::size_t offset = 0; offset < 0x40; offset += 4) {
    const auto mask = offset == 0x0c ? ~0x00800000U : ~0U;
    if (offset != 0x34) {
      EXPECT_EQ(dword(view_, offset) & mask, dword(config_, offset) & mask) << offset;
    }
  }
}

TEST_P(ConfigDumps, EveryRowHasAReasonAndASource) {
  for (const auto& row : patch_.rows()) {
    EXPECT_EQ(row.offset % 4, 0);
    EXPECT_EQ(row.value & ~row.mask, 0U) << row.reason;
    EXPECT_FALSE(row.reason.empty());
    EXPECT_STRNE(row.source, "");
  }
}

// A guest that writes back what it read, or anything else, to what is hidden: nothing arrives.
TEST_P(ConfigDumps, HiddenCapabilitiesReadZeroAndDropWrites) {
  for (const auto& capability : extended_capabilities(config_)) {
    if (extended_policy(capability.id).treatment != CapabilityTreatment::kHidden) {
      continue;
    }
    EXPECT_TRUE(patch_.drops_writes(capability.offset));
    EXPECT_EQ(dword(view_, capability.offset + 4U), 0U) << capability.id;
  }
}

INSTANTIATE_TEST_SUITE_P(Real, ConfigDumps, ::testing::ValuesIn(dumps()), [](const auto& test) {
  std::string name = test.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

// The Navi 10's BAR 0 was resized to 8 GiB, a size that the card does not announce.
TEST(ResizableBar, TheCurrentSizeIsTheOnlyOne) {
  const auto config = load("amd-navi10");
  const auto patch = ConfigPatch::create(config, {});
  const auto view = guest_view(config, patch);
  EXPECT_EQ(dword(view, 0x204), 1U << (4 + 13)) << "8 GiB";
  EXPECT_EQ(dword(view, 0x208), 0xd40U) << "as it is: BAR 0, two BARs, 8 GiB";
  EXPECT_EQ(dword(view, 0x20c), 1U << (4 + 8)) << "256 MiB";
  for (std::uint16_t offset = 0x200; offset < 0x214; offset += 4) {
    EXPECT_TRUE(patch.drops_writes(offset)) << offset;
  }
  EXPECT_FALSE(patch.drops_writes(0x240));
}

// Three BARs in one capability; BAR 1 has 8 GiB of 256 MiB to 8 GiB.
TEST(ResizableBar, EachOfThreeShowsItsOwnSize) {
  const auto config = load("nvidia-ga104");
  const auto view = guest_view(config, ConfigPatch::create(config, {}));
  for (std::size_t bar = 0; bar < 3; ++bar) {
    const auto at = 0xbb4 + bar * 8;
    const auto code = dword(config, at + 4) >> 8 & 0x3f;
    EXPECT_EQ(dword(view, at), 1U << (4 + code)) << bar;
    EXPECT_EQ(dword(view, at + 4), dword(config, at + 4)) << bar;
  }
  EXPECT_EQ(dword(view, 0xbbc), 1U << (4 + 13)) << "8 GiB";
}

TEST(ResizableBar, OfACxlDeviceShowsItsSize) {
  const auto config = load("cxl-endpoint");
  const auto view = guest_view(config, ConfigPatch::create(config, {}));
  EXPECT_EQ(dword(view, 0x708) & 7, 4U) << "BAR 4";
  EXPECT_EQ(dword(view, 0x704), 1U << (4 + 4)) << "16 MiB";
}

// AtomicOp Requester Enable (bit 6 of Device Control 2) is the guest driver's to set.
TEST(AtomicOps, GuestsMayEnableTheRequester) {
  const auto config = load("amd-fiji-kvm");
  const auto patch = ConfigPatch::create(config, {.link = PcieLink{1, 16}});
  EXPECT_FALSE(patch.drops_writes(0x80));
  EXPECT_EQ(patch.patched_bits(0x80) & 1U << 6, 0U);
}

TEST(SixtyFourGigatransfers, StayInLinkCapabilities) {
  const auto config = load("cadence-gen6");
  const auto view = guest_view(config, ConfigPatch::create(config, {.link = PcieLink{5, 4}}));
  EXPECT_EQ(dword(view, 0xcc) & 0xf, 6U);
  EXPECT_EQ(dword(view, 0xec) & 0xfe, 0x7eU) << "2.5 to 64 GT/s";
}

void expect_hidden(const char* name, std::uint16_t begin, std::uint16_t end) {
  const auto config = load(name);
  const auto patch = ConfigPatch::create(config, {});
  const auto view = guest_view(config, patch);
  for (auto offset = begin; offset < end; offset = static_cast<std::uint16_t>(offset + 4)) {
    EXPECT_EQ(dword(view, offset), 0U) << name << " " << offset;
    EXPECT_TRUE(patch.drops_writes(offset)) << name << " " << offset;
  }
}

// Host addresses of Enhanced Allocation, keys of IDE, a table of steering tags.
TEST(HiddenBodies, AreNeitherReadNorWritten) {
  expect_hidden("thunderx-ea", 0x98, 0x100);
  expect_hidden("ide-endpoint", 0x830, 0xe00);
  expect_hidden("cxl-endpoint", 0x5b0, 0x6e0);
  expect_hidden("cadence-gen6", 0x274, 0x300);
}

// An extended chain starts at 100 whatever stands there.
TEST(HiddenFirst, ANullCapabilityStandsForIt) {
  const auto config = load("thunderx-ea");
  EXPECT_EQ(dword(guest_view(config, ConfigPatch::create(config, {})), 0x100), 0x10800000U);
}

// An Intel processor's graphics is an endpoint of the root complex, without a link.
TEST(RootComplexEndpoint, GetsALink) {
  const auto config = load("intel-skylake");
  const auto view = guest_view(config, ConfigPatch::create(config, {.link = PcieLink{3, 16}}));
  const auto express = find_capability(view, 0x10);
  EXPECT_EQ(dword(view, express) >> 20 & 0xf, 0U);
  EXPECT_EQ(dword(view, express + 0x0cU) & 0x3ff, 0x103U);
  EXPECT_EQ(dword(view, express + 0x2cU) & 0xfe, 0x0eU) << "2.5, 5 and 8 GT/s";
}

// An idle card: what it has trained to is no limit, and changes.
TEST(LinkOfAnEndpoint, IsTheHardwaresNow) {
  const auto config = load("amd-navi10");
  const auto patch = ConfigPatch::create(config, {.link = PcieLink{5, 32}});
  const auto express = find_capability(config, 0x10);
  const auto at = static_cast<std::uint16_t>(express + 0x10);
  EXPECT_EQ(patch.apply(at, 0x11010000) >> 16 & 0x3ff, 0x101U);
  EXPECT_EQ(patch.apply(at, 0x10830000) >> 16 & 0x3ff, 0x083U);
  EXPECT_EQ(dword(guest_view(config, patch), express + 0x0cU) & 0x3ff,
            dword(config, express + 0x0cU) & 0x3ff);
}

TEST(GpuDirectDumps, WhereItsPlaceIs) {
  EXPECT_EQ(gpudirect_capability(load("nvidia-mx150"), 3)->offset, 0xc8);
  EXPECT_EQ(gpudirect_capability(load("nvidia-gt218"), 3)->offset, 0xc8);
  EXPECT_FALSE(gpudirect_capability(load("amd-navi10"), 3));
}

// Addresses of the host's memory, which its firmware put there: Intel's graphics of the processor.
TEST(ConfigDumps, IntegratedGraphicsShowsNothingOfTheHostsMemory) {
  auto config = test::load_config_dump("intel-skylake");
  const auto write = [&config](std::uint16_t offset, std::uint32_t value) {
    store_le(std::span(config).subspan(offset, 4), value);
  };
  write(0x50, 0x000002c1);  // GGC: 64 MiB for the GPU, 8 MiB for its page table, locked
  write(0x5c, 0x7c000001);  // BDSM
  write(0xfc, 0x78b2f018);  // ASLS
  const auto patch = ConfigPatch::create(config, {});
  const auto shown = [&](std::uint16_t offset) {
    return patch.apply(offset, load_at<std::uint32_t>(config, offset).value());
  };
  EXPECT_EQ(shown(0x50), 0x000000c1U);
  EXPECT_EQ(shown(0x5c), 0U);
  EXPECT_EQ(shown(0xfc), 0U);
  for (const std::uint16_t offset : std::initializer_list<std::uint16_t>{0x50, 0x5c, 0xe8, 0xfc}) {
    EXPECT_TRUE(patch.drops_writes(offset)) << offset;
  }
  EXPECT_FALSE(patch.drops_writes(0xc0)) << "from Ice Lake on";
  write(0x00, 0x46a68086);  // Alder Lake
  write(0xc0, 0x60800001);
  write(0xc4, 1);
  const auto later = ConfigPatch::create(config, {});
  EXPECT_EQ(later.apply(0xc0, 0x60800001), 0U);
  EXPECT_EQ(later.apply(0xc4, 1), 0U);
  EXPECT_EQ(later.apply(0x5c, 0x7c000001), 0U);
  write(0x00, 0x01628086);  // Ivy Bridge: the size is elsewhere
  EXPECT_EQ(ConfigPatch::create(config, {}).apply(0x50, 0x0211), 0x0201U);
}

// A card's registers at these places are others.
TEST(ConfigDumps, CardsOfIntelAndOthersGraphicsStayAsTheyAre) {
  for (const char* const name : {"intel-a770", "nvidia-ga104", "amd-navi10", "intel-82576"}) {
    const auto config = test::load_config_dump(name);
    EXPECT_TRUE(integrated_graphics_patch(config).rows.empty()) << name;
    EXPECT_FALSE(is_integrated_graphics(config)) << name;
  }
}

}  // namespace
}  // namespace gpuvm::config_dumps_test
