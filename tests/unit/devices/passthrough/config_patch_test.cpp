// SPDX-License-Identifier: Apache-2.0
// ConfigPatch over two realistic configuration spaces and hostile ones.
#include "devices/passthrough/config_patch.hpp"

#include <gtest/gtest.h>

#include <array>

#include "devices/passthrough/gpudirect.hpp"
#include "tests/unit/devices/passthrough/config_fixtures.hpp"

namespace gpuvm::config_patch_test {
namespace {

using test::ConfigBuilder;

std::vector<std::byte> guest_view(const std::vector<std::byte>& config, const ConfigPatch& patch) {
  auto view = config;
  for (std::uint16_t offset = 0; offset < view.size(); offset += 4) {
    const std::span<std::byte> dword(view.data() + offset, 4);
    store_le(dword, patch.apply(offset, static_cast<std::uint32_t>(load_le(dword))));
  }
  return view;
}

std::vector<std::uint16_t> ids(const std::vector<CapabilityHeader>& chain) {
  std::vector<std::uint16_t> out;
  for (const auto& capability : chain) {
    out.push_back(capability.id);
  }
  return out;
}

using Ids = std::vector<std::uint16_t>;

TEST(ConfigPatch, HidesTheHostsCapabilitiesOfAGpu) {
  const auto config = test::gt710_config();
  const auto patch = ConfigPatch::create(config, {.multi_function = true});
  const auto view = guest_view(config, patch);
  EXPECT_EQ(ids(extended_capabilities(config)),
            (Ids{0x02, 0x04, 0x01, 0x0b, 0x19, 0x15, 0x10, 0x0e}));
  EXPECT_EQ(ids(extended_capabilities(view)), (Ids{0x02, 0x04, 0x01, 0x0b}));
  EXPECT_EQ(ids(standard_capabilities(view)), (Ids{0x01, 0x05, 0x10}));
  EXPECT_EQ(load_at<std::uint32_t>(view, 0xbb4), 0U);  // not even by offset
  EXPECT_EQ(load_at<std::uint32_t>(view, 0xbc4), 0U);
  EXPECT_TRUE(patch.hidden(0xbb4));
  EXPECT_FALSE(patch.hidden(0x600));
  EXPECT_EQ(load_at<std::uint8_t>(view, 0x0e), 0x80);
}

TEST(ConfigPatch, HeaderTypeSaysWhatTheGuestHas) {
  const auto config = test::gt710_config();
  const auto view = guest_view(config, ConfigPatch::create(config, {.multi_function = false}));
  EXPECT_EQ(load_at<std::uint8_t>(view, 0x0e), 0x00);
  EXPECT_EQ(load_at<std::uint8_t>(view, 0x3d), 1);  // the pin stays the hardware's
}

// The guest's port has no wake-ups, no power states of the link and no LTR; all else is the
// device's.
TEST(ConfigPatch, LeavesMostOfAPlainDeviceAlone) {
  const auto config = test::upd720200_config();
  auto expected = config;
  store_le(std::span(expected).subspan(0x50, 4), 0x01c37001);   // PM: no PME
  store_le(std::span(expected).subspan(0xac, 4), 0x00400000);   // Link Capabilities: no ASPM
  store_le(std::span(expected).subspan(0x140, 4), 0x00010003);  // serial number: the last
  store_le(std::span(expected).subspan(0x150, 4), 0);           // LTR
  EXPECT_EQ(guest_view(config, ConfigPatch::create(config, {})), expected);
}

TEST(ConfigPatch, PatchedBitsStayTheHardwaresWhenOthersAreWritten) {
  const auto patch = ConfigPatch::create(test::upd720200_config(), {});
  EXPECT_EQ(patch.patched_bits(0xc8), 0x7c00U);  // Device Control 2: LTR, tags, OBFF
  EXPECT_EQ(patch.patched_bits(0xa8), 0xfU);     // Device Control: reporting of errors
  EXPECT_EQ(patch.patched_bits(0x04), 0x140U);   // Command: parity errors, SERR
  EXPECT_TRUE(patch.drops_writes(0xb0));         // Link Control
  EXPECT_TRUE(patch.drops_writes(0x108));        // which errors are reported
  EXPECT_FALSE(patch.drops_writes(0xa8));
}

// 7.8.4: bits of the status registers are cleared by ones; what is reported, and how, is the
// host's.
TEST(ConfigPatch, GuestsMayClearErrorsAndNotMaskThem) {
  const auto config = ConfigBuilder().extended(0x100, 0x01, 0x148).extended(0x148, 0x03, 0).bytes();
  const auto patch = ConfigPatch::create(config, {});
  for (std::uint16_t offset = 0x100; offset < 0x148;
       offset = static_cast<std::uint16_t>(offset + 4)) {
    EXPECT_EQ(patch.drops_writes(offset), offset != 0x104 && offset != 0x110) << offset;
  }
  EXPECT_EQ(patch.patched_bits(0x104), 0U);
  EXPECT_EQ(patch.patched_bits(0x110), 0U);
}

/// A PCI Express capability at 40, the last; what follows the 0x14 bytes of version 1 is vendor's.
std::vector<std::byte> express_of_version(std::uint32_t version) {
  ConfigBuilder builder(256);
  builder.dword(0x04, 0x00100000).dword(0x34, 0x40).dword(0x40, 0x10 | version << 16);
  for (std::size_t offset = 0x54; offset < 0x100; offset += 4) {
    builder.dword(offset, 0xffffffff);
  }
  return builder.bytes();
}

// PCI Express Base 1.1, 7.8: of an endpoint it ends behind Link Status.
TEST(ConfigPatch, FirstVersionOfPciExpressEndsBehindTheLink) {
  for (const std::uint32_t version : {0U, 1U}) {
    const auto config = express_of_version(version);
    const auto patch = ConfigPatch::create(config, {.link = PcieLink{3, 16}});
    const auto view = guest_view(config, patch);
    EXPECT_EQ(*load_at<std::uint32_t>(view, 0x4c) & 0x3ff, 0x103U) << "Link Capabilities";
    for (std::uint16_t offset = 0x54; offset < 0x80;
         offset = static_cast<std::uint16_t>(offset + 4)) {
      EXPECT_EQ(load_at<std::uint32_t>(view, offset), 0xffffffffU) << offset;
      EXPECT_FALSE(patch.drops_writes(offset)) << offset;
    }
  }
  const auto config = express_of_version(2);
  EXPECT_TRUE(ConfigPatch::create(config, {}).drops_writes(0x70)) << "Link Control 2";
}

// As virtual functions of the 82599 have it.
TEST(ConfigPatch, VersionZeroOfPciExpressIsShownAsOne) {
  for (const auto& [version, shown] : {std::pair{0U, 1U}, {1U, 1U}, {2U, 2U}}) {
    const auto config = express_of_version(version);
    const auto view = guest_view(config, ConfigPatch::create(config, {}));
    EXPECT_EQ(*load_at<std::uint32_t>(view, 0x40) >> 16 & 0xf, shown);
  }
}

TEST(ConfigPatch, VpdDvsecAndDoeAreWrittenByChoiceAlone) {
  const auto config = ConfigBuilder()
                          .dword(0x04, 0x00100000)
                          .dword(0x34, 0x40)
                          .dword(0x40, 0x03)
                          .extended(0x100, 0x23, 0x140)
                          .extended(0x140, 0x2e, 0x180)
                          .extended(0x180, 0x03, 0)
                          .bytes();
  const auto sealed = ConfigPatch::create(config, {});
  EXPECT_FALSE(sealed.drops_writes(0x40)) << "an address to read from";
  EXPECT_FALSE(sealed.begins_vpd_write(0x40, 0x00040000));
  EXPECT_TRUE(sealed.begins_vpd_write(0x40, 0x80040000));
  EXPECT_TRUE(sealed.drops_writes(0x44));
  EXPECT_EQ(ids(extended_capabilities(guest_view(config, sealed))), (Ids{0x23, 0x03}));
  EXPECT_TRUE(sealed.drops_writes(0x13c)) << "all of it: its length is its vendor's";
  EXPECT_TRUE(sealed.hidden(0x154));
  const auto open =
      ConfigPatch::create(config, {.writable = {.vpd = true, .dvsec = true, .doe = true}});
  EXPECT_FALSE(open.begins_vpd_write(0x40, 0x80040000));
  constexpr std::uint16_t kRegisters[] = {0x44, 0x108, 0x148};
  for (const std::uint16_t offset : kRegisters) {
    EXPECT_FALSE(open.drops_writes(offset)) << offset;
  }
  EXPECT_EQ(ids(extended_capabilities(guest_view(config, open))), (Ids{0x23, 0x2e, 0x03}));
}

TEST(ConfigPatch, ErrorReportingAndSelfTestAreTheHosts) {
  auto config = test::upd720200_config();
  config[0x04] |= std::byte{0x40};
  config[0x0f] = std::byte{0x80};
  const auto patch = ConfigPatch::create(config, {});
  EXPECT_EQ(patch.patched_bits(0x04), 0x140U);
  EXPECT_EQ(patch.apply(0x04, 0x0146) & 0x140, 0x40U) << "as it was at the start";
  EXPECT_EQ(patch.patched_bits(0x0c) >> 24, 0xffU);
  EXPECT_EQ(patch.apply(0x0c, 0x80000000) >> 24, 0U) << "BIST: not capable";
}

TEST(ConfigPatch, CapabilitiesThatNobodyKnowsAreHiddenWhole) {
  const auto config = ConfigBuilder()
                          .dword(0x04, 0x00100000)
                          .dword(0x34, 0x40)
                          .dword(0x40, 0x000050ee)
                          .dword(0x44, 0x12345678)
                          .dword(0x4c, 0x12345678)
                          .dword(0x50, 0x00000009)
                          .extended(0x100, 0x01, 0x200)
                          .extended(0x200, 0x7777, 0x300)
                          .dword(0x204, 0x87654321)
                          .dword(0x2fc, 0x87654321)
                          .extended(0x300, 0x03, 0)
                          .bytes();
  const auto patch = ConfigPatch::create(config, {});
  const auto view = guest_view(config, patch);
  EXPECT_EQ(ids(standard_capabilities(view)), (Ids{0x09}));
  EXPECT_EQ(ids(extended_capabilities(view)), (Ids{0x01, 0x03}));
  for (const auto offset : std::to_array<std::uint16_t>({0x44, 0x4c, 0x204, 0x2fc})) {
    EXPECT_EQ(load_at<std::uint32_t>(view, offset), 0U) << offset;
    EXPECT_TRUE(patch.drops_writes(offset)) << offset;
  }
  EXPECT_FALSE(patch.drops_writes(0x50));
  EXPECT_FALSE(patch.drops_writes(0x300));
}

TEST(ConfigPatch, ResizableBarThatContradictsItselfIsHidden) {
  for (const std::uint32_t control : {0x00U, 0xe0U, 0x3f20U}) {  // no BAR, seven, 2^83 bytes
    const auto config = ConfigBuilder()
                            .extended(0x100, 0x01, 0x200)
                            .extended(0x200, 0x15, 0)
                            .dword(0x208, control)
                            .bytes();
    const auto view = guest_view(config, ConfigPatch::create(config, {}));
    EXPECT_EQ(ids(extended_capabilities(view)), (Ids{0x01})) << control;
    EXPECT_EQ(load_at<std::uint32_t>(view, 0x208), 0U);
  }
}

TEST(ConfigPatch, ResizableBarOfHugeSizes) {
  const auto config = ConfigBuilder().extended(0x100, 0x15, 0).dword(0x108, 0x1d20).bytes();
  const auto view = guest_view(config, ConfigPatch::create(config, {}));
  EXPECT_EQ(load_at<std::uint32_t>(view, 0x104), 0U);
  EXPECT_EQ(load_at<std::uint32_t>(view, 0x108), 0x00021d20U);  // 2^49 bytes: bit 1 above
}

// Each capability ends where the next begins: rows and hidden areas must not reach into it.
TEST(ConfigPatch, OverlappingCapabilitiesEndAtTheNext) {
  const auto config = ConfigBuilder()
                          .dword(0x04, 0x00100000)
                          .dword(0x34, 0x40)
                          .dword(0x40, 0x00024410)  // PCI Express of four bytes
                          .dword(0x44, 0x00004801)  // Power Management of four bytes
                          .dword(0x48, 0xffff0009)
                          .dword(0x4c, 0xffffffff)
                          .extended(0x100, 0x10, 0x104)
                          .extended(0x104, 0x0b, 0x108)
                          .extended(0x108, 0x01, 0)
                          .bytes();
  const auto patch = ConfigPatch::create(config, {.link = PcieLink{6, 32}});
  const auto view = guest_view(config, patch);
  EXPECT_EQ(ids(standard_capabilities(view)), (Ids{0x10, 0x01, 0x09}));
  EXPECT_EQ(load_at<std::uint32_t>(view, 0x4c), 0xffffffffU);
  EXPECT_EQ(ids(extended_capabilities(view)), (Ids{0x00, 0x0b, 0x01}));
  EXPECT_FALSE(patch.drops_writes(0x104));
}

// Found by fuzzing: Device Capabilities of a capability at fc would lie at 100, in the next chain.
TEST(ConfigPatch, FunctionResetOfACapabilityWithoutRegisters) {
  const auto config = ConfigBuilder()
                          .dword(0x04, 0x00100000)
                          .dword(0x34, 0xfc)
                          .dword(0xfc, 0x00020010)
                          .extended(0x100, 0x01, 0x300)
                          .extended(0x300, 0x03, 0)
                          .bytes();
  const auto view = guest_view(config, ConfigPatch::create(config, {.hide_function_reset = true}));
  EXPECT_EQ(ids(extended_capabilities(view)), (Ids{0x01, 0x03}));
}

TEST(CapabilityPolicy, EveryRowSaysWhyAndAccordingToWhat) {
  for (const auto rows : {standard_policies(), extended_policies()}) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      EXPECT_STRNE(rows[i].name, "");
      EXPECT_STRNE(rows[i].reason, "");
      EXPECT_STRNE(rows[i].source, "");
      EXPECT_EQ(rows[i].size % 4, 0);
      EXPECT_TRUE(rows[i].treatment == CapabilityTreatment::kShown || rows[i].size >= 4);
      EXPECT_TRUE(i == 0 || rows[i - 1].id < rows[i].id) << rows[i].name;
    }
  }
}

// Last registers of those whose length is known; all are hidden to their end.
TEST(CapabilityPolicy, HidesTheLastRegister) {
  const auto hides = [](const CapabilityPolicy& policy, std::uint16_t last) {
    return policy.treatment == CapabilityTreatment::kHidden && policy.size >= last + 4;
  };
  EXPECT_TRUE(hides(standard_policy(0x15), 0x20)) << "FPB Vector Access Data, 7.8.11.9";
  EXPECT_TRUE(hides(extended_policy(0x10), 0x3c)) << "VF Migration State Array Offset, 9.3.3.15";
  EXPECT_TRUE(hides(extended_policy(0x13), 0x0c)) << "PRI: outstanding allocation, 10.5.2.5";
  EXPECT_TRUE(hides(extended_policy(0x1e), 0x10)) << "L1 PM Substates Status, 7.8.3.5";
  EXPECT_TRUE(hides(extended_policy(0x27), 0x84)) << "margining of lane 31, 7.7.7.4";
}

TEST(ConfigPatch, RelinksStandardChainAroundHiddenOnes) {
  const auto config = test::upd720200_config();
  const auto patch = ConfigPatch::create(
      config,
      {.hide_msi = true, .hide_msix = true, .hide_intx = true, .hide_function_reset = true});
  const auto view = guest_view(config, patch);
  EXPECT_EQ(ids(standard_capabilities(view)), (Ids{0x01, 0x10}));
  EXPECT_EQ(load_at<std::uint8_t>(view, 0x3d), 0);
  EXPECT_EQ(*load_at<std::uint32_t>(view, 0xa4) & (1U << 28), 0U);
  EXPECT_EQ(*load_at<std::uint32_t>(view, 0xa4), 0x00008fc0U);
}

TEST(ConfigPatch, FunctionResetThatTheHostDoesNotHaveIsHidden) {
  const auto config = test::upd720200_config();
  const auto patch = ConfigPatch::create(config, {.no_function_reset = true});
  EXPECT_EQ(*load_at<std::uint32_t>(guest_view(config, patch), 0xa4) & (1U << 28), 0U);
  const auto& rows = patch.rows();
  EXPECT_TRUE(std::any_of(rows.begin(), rows.end(), [](const ConfigPatchRow& row) {
    return row.reason == "FLR hidden: the host has no function reset for this device";
  }));
}

TEST(ConfigPatch, FirstStandardCapabilityHidden) {
  const auto config = ConfigBuilder(256)
                          .dword(0x04, 0x00100000)
                          .dword(0x34, 0x40)
                          .dword(0x40, 0x00005005)
                          .dword(0x50, 0x00000001)
                          .bytes();
  const auto view = guest_view(config, ConfigPatch::create(config, {.hide_msi = true}));
  EXPECT_EQ(load_at<std::uint8_t>(view, 0x34), 0x50);
  EXPECT_EQ(ids(standard_capabilities(view)), (Ids{0x01}));
}

// 7.6.3: the extended chain always starts at 0x100.
TEST(ConfigPatch, NullCapabilityInPlaceOfAHiddenFirst) {
  const auto config = ConfigBuilder().extended(0x100, 0x0e, 0x200).extended(0x200, 0x01, 0).bytes();
  const auto view = guest_view(config, ConfigPatch::create(config, {}));
  EXPECT_EQ(load_at<std::uint32_t>(view, 0x100), 0x20000000U);
  EXPECT_EQ(ids(extended_capabilities(view)), (Ids{0x00, 0x01}));
}

TEST(ConfigPatch, OnlyHiddenExtendedCapabilitiesReadAsNone) {
  const auto config = ConfigBuilder().extended(0x100, 0x0e, 0x200).extended(0x200, 0x10, 0).bytes();
  const auto view = guest_view(config, ConfigPatch::create(config, {}));
  EXPECT_EQ(load_at<std::uint32_t>(view, 0x100), 0U);
}

TEST(ConfigPatch, LoopsInChainsEndThere) {
  const auto config = ConfigBuilder()
                          .dword(0x04, 0x00100000)
                          .dword(0x34, 0x40)
                          .dword(0x40, 0x00005001)
                          .dword(0x50, 0x00004005)  // back to 0x40
                          .extended(0x100, 0x01, 0x200)
                          .extended(0x200, 0x02, 0x100)
                          .bytes();
  EXPECT_EQ(ids(standard_capabilities(config)), (Ids{0x01, 0x05}));
  EXPECT_EQ(ids(extended_capabilities(config)), (Ids{0x01, 0x02}));
  const auto view = guest_view(config, ConfigPatch::create(config, {}));
  EXPECT_EQ(load_at<std::uint8_t>(view, 0x51), 0);  // the guest's chain has an end
  EXPECT_EQ(*load_at<std::uint32_t>(view, 0x200) >> 20, 0U);
}

TEST(ConfigPatch, BadPointersAndShortSpaces) {
  const auto into_header = ConfigBuilder(256).dword(4, 0x00100000).dword(0x34, 0x10).bytes();
  EXPECT_TRUE(standard_capabilities(into_header).empty());
  const auto last = ConfigBuilder(256).dword(4, 0x00100000).dword(0x34, 0xfc).bytes();
  EXPECT_EQ(standard_capabilities(last).size(), 1U);
  EXPECT_TRUE(standard_capabilities({}).empty());
  EXPECT_TRUE(extended_capabilities(last).empty());
  const std::vector<std::byte> ones(4096, std::byte{0xff});
  EXPECT_TRUE(extended_capabilities(ones).empty());
  EXPECT_LE(standard_capabilities(ones).size(), 1U);
  static_cast<void>(ConfigPatch::create(ones, {}));
}

TEST(ConfigPatch, EveryRowHasAReason) {
  InspectNode node;
  const auto patch = ConfigPatch::create(test::gt710_config(), {.hide_msi = true});
  patch.inspect(node);
  ASSERT_FALSE(patch.rows().empty());
  for (const auto& row : patch.rows()) {
    EXPECT_FALSE(row.reason.empty());
    EXPECT_EQ(row.offset % 4, 0);
    EXPECT_EQ(row.value & ~row.mask, 0U);
  }
  EXPECT_NE(node.to_text().find("SR-IOV"), std::string::npos);
}

TEST(GpuDirect, PlacesThatAreTaken) {
  auto config = test::gt710_config();
  EXPECT_EQ(gpudirect_capability(config, 15)->offset, 0xc8);
  EXPECT_FALSE(gpudirect_capability(config, 16));
  EXPECT_FALSE(gpudirect_capability(test::upd720200_config(), 0));
  // A vendor-specific capability of 0xc bytes at c4 lies over c8.
  store_le(std::span(config).subspan(0x79, 1), 0xc4);
  store_le(std::span(config).subspan(0xc4, 4), 0x000c0009);
  EXPECT_EQ(gpudirect_capability(config, 0)->offset, 0xd4);
  store_le(std::span(config).subspan(0xc6, 1), 0x14);
  const auto full = gpudirect_capability(config, 0);
  ASSERT_FALSE(full);
  EXPECT_NE(full.error().to_string().find("no place"), std::string::npos);
  store_le(std::span(config).subspan(6, 2), 0);  // no chain at all
  EXPECT_FALSE(gpudirect_capability(config, 0));
}

}  // namespace
}  // namespace gpuvm::config_patch_test
