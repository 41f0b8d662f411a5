// SPDX-License-Identifier: Apache-2.0
// What an image of a configuration space says of a function (PCI Express Base 6.0, 7.5 and 7.7),
// hostile ones too.
#include "devices/passthrough/function_facts.hpp"

#include <gtest/gtest.h>

#include "devices/pci/pci_spec.hpp"
#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::function_facts_test {
namespace {

using Bytes = std::vector<std::byte>;

FunctionOffers usb_offers() {
  FunctionOffers offers{.intx_vectors = 1, .msi_vectors = 8, .msix_vectors = 8};
  offers.regions[0] = {.size = 0x2000, .readable = true, .writable = true, .mappable = true};
  return offers;
}

void set(Bytes& config, std::size_t at, std::uint32_t value, std::size_t size = 4) {
  store_le(std::span(config).subspan(at, size), value);
}

TEST(FunctionFacts, OfAUsbController) {
  auto config = test::upd720200_config();
  set(config, 0xa8, 0x2850, 2);  // Device Control: 512 bytes of payload
  set(config, 0xb2, 0x1012, 2);  // Link Status: 5 GT/s, x1
  const auto facts = FunctionFacts::parse(config, usb_offers());
  EXPECT_EQ(facts.ids, (RomIds{0x1033, 0x0194}));
  EXPECT_EQ(facts.class_code, 0x0c0330U);
  EXPECT_EQ(facts.interrupt_pin, 0U);
  EXPECT_EQ(facts.link.speed, 2);
  EXPECT_EQ(facts.link.width, 1);
  EXPECT_EQ(facts.link_capability, facts.link) << "no less";
  auto idle = config;
  set(idle, 0xac, 0x43, 2);  // Link Capabilities: 8 GT/s, x4
  EXPECT_EQ(FunctionFacts::parse(idle, usb_offers()).link_capability, (PcieLink{3, 4}));
  EXPECT_EQ(FunctionFacts::parse(idle, usb_offers()).link, facts.link);
  EXPECT_EQ(facts.max_payload_code, 2);
  ASSERT_TRUE(facts.bars[0]);
  EXPECT_EQ(facts.bars[0]->kind, BarKind::kMemory64);
  EXPECT_EQ(facts.bars[0]->size, 0x2000U);
  EXPECT_FALSE(facts.bars[1]) << "the upper half";
  ASSERT_TRUE(facts.msi);
  EXPECT_EQ(facts.msi->offset, 0x70);
  ASSERT_TRUE(facts.msix);
  EXPECT_EQ(facts.msix->vectors, 8);
  EXPECT_EQ(facts.config, config);
}

TEST(FunctionFacts, WhatTheHostCannotDeliverIsNone) {
  auto offers = usb_offers();
  offers.msi_vectors = 0;
  offers.msix_vectors = 7;
  auto facts = FunctionFacts::parse(test::upd720200_config(), offers);
  EXPECT_FALSE(facts.msi);
  EXPECT_FALSE(facts.msix);
  offers = usb_offers();
  offers.regions[0].size = 0x1000;  // the table begins behind it
  EXPECT_FALSE(FunctionFacts::parse(test::upd720200_config(), offers).msix);
  offers.is_complete = false;  // nobody knows
  EXPECT_TRUE(FunctionFacts::parse(test::upd720200_config(), offers).msix);
}

TEST(FunctionFacts, NonsenseIsTheLeast) {
  auto config = test::upd720200_config();
  set(config, 0x3d, 5, 1);
  set(config, 0xa8, 0x70e0, 2);
  set(config, 0xb2, 0x0077, 2);  // speed 7, 7 lanes
  auto facts = FunctionFacts::parse(config, usb_offers());
  EXPECT_EQ(facts.interrupt_pin, 0U);
  EXPECT_EQ(facts.max_payload_code, 0);
  EXPECT_EQ(facts.link.speed, 1);
  EXPECT_EQ(facts.link.width, 1);
  // The PCI Express capability in the last dword: its registers would be others'.
  set(config, 0x90, 0x0007fc11);
  set(config, 0xfc, 0x00020010);
  set(config, 0x10e, 0x0042, 2);  // where Link Status would be: 5 GT/s, x4
  facts = FunctionFacts::parse(config, usb_offers());
  EXPECT_EQ(facts.link.speed, 1);
  EXPECT_EQ(facts.link.width, 1);
}

TEST(FunctionFacts, OfAlmostNothing) {
  for (const std::size_t size : {0U, 1U, 4U, 63U, 64U, 255U}) {
    Bytes config(size, std::byte{0xff});
    const auto facts = FunctionFacts::parse(config, usb_offers());
    EXPECT_FALSE(facts.msix) << size;
    EXPECT_EQ(facts.config.size(), size);
  }
  FunctionOffers huge;
  huge.regions.fill({.size = ~std::uint64_t{0}});
  for (const auto& bar : FunctionFacts::parse(Bytes(256, std::byte{0xff}), huge).bars) {
    EXPECT_FALSE(bar) << "no BAR is so large";
  }
}

}  // namespace
}  // namespace gpuvm::function_facts_test
