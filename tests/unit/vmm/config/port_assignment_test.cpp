// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/port_assignment.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "vmm/config/config.hpp"

namespace gpuvm::port_assignment_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

SlotRequest gpu(std::vector<std::uint8_t> functions = {0, 1}) {
  return {.name = "gpu", .kind = SlotKind::kGpu, .functions = std::move(functions)};
}
SlotRequest usb(std::vector<std::uint8_t> functions = {0}) {
  return {.name = "usb", .kind = SlotKind::kSmall, .functions = std::move(functions)};
}
SlotRequest nic() {
  return {.name = "nic", .kind = SlotKind::kOwn, .functions = {0}};
}
SlotRequest at(SlotRequest slot, std::uint8_t port) {
  slot.port = port;
  return slot;
}
SlotRequest of_card(SlotRequest slot, std::uint8_t bus) {
  slot.card = Bdf{0, bus, 0, 0};
  return slot;
}

/// "port: numbers" of each slot.
std::vector<std::string> assigned(const std::vector<SlotRequest>& slots) {
  const auto places = assign_ports(slots);
  if (!places) {
    EXPECT_EQ(places.error().kind(), ErrorKind::kConfig);
    return {places.error().to_string()};
  }
  std::vector<std::string> texts;
  for (const auto& place : *places) {
    std::string text = fmt::format("{}:", place.port);
    for (const auto number : place.functions) {
      text += fmt::format(" {}", number);
    }
    texts.push_back(text);
  }
  return texts;
}

TEST(PortAssignment, OneCardIsBehindOnePort) {
  EXPECT_THAT(assigned({gpu(), usb(), usb({0, 1})}), ElementsAre("0: 0 1", "0: 2", "0: 3 4"));
  EXPECT_THAT(assigned({usb()}), ElementsAre("0: 0"));
  EXPECT_THAT(assigned({usb({3})}), ElementsAre("0: 0"));
}

TEST(PortAssignment, GpuIsFunctionZeroWhateverTheOrder) {
  EXPECT_THAT(assigned({usb(), gpu()}), ElementsAre("0: 2", "0: 0 1"));
  EXPECT_THAT(assigned({at(usb(), 3), at(gpu(), 3)}), ElementsAre("3: 2", "3: 0 1"));
  EXPECT_THAT(assigned({at(usb(), 0), gpu()}), ElementsAre("0: 2", "0: 0 1"));
  EXPECT_THAT(assigned({gpu({2})}), ElementsAre("0: 0"));
}

TEST(PortAssignment, FourGpusAndAUsbController) {
  EXPECT_THAT(assigned({usb(), gpu(), gpu(), gpu(), gpu()}),
              ElementsAre("0: 2", "0: 0 1", "1: 0 1", "2: 0 1", "3: 0 1"));
}

TEST(PortAssignment, FurtherNetworkCardsHavePortsOfTheirOwn) {
  EXPECT_THAT(assigned({nic(), gpu(), nic()}), ElementsAre("1: 0", "0: 0 1", "2: 0"));
  EXPECT_THAT(assigned({nic(), usb()}), ElementsAre("0: 0", "0: 1"));
}

TEST(PortAssignment, UserSaysOtherwise) {
  EXPECT_THAT(assigned({gpu(), at(gpu(), 0)}), ElementsAre("1: 0 1", "0: 0 1"));
  EXPECT_THAT(assigned({at(gpu(), 5), at(gpu(), 5)}), ElementsAre("5: 0 1", "5: 2 3"));
  EXPECT_THAT(assigned({gpu(), gpu(), at(usb(), 1)}), ElementsAre("0: 0 1", "2: 0 1", "1: 0"));
}

TEST(PortAssignment, EntriesOfOneCardStayTogether) {
  EXPECT_THAT(assigned({gpu(), of_card(gpu({0}), 2), of_card(usb({1}), 2)}),
              ElementsAre("0: 0 1", "1: 0", "1: 1"));
}

TEST(PortAssignment, SmallSlotsThatDoNotFitGoBehindAnotherPort) {
  std::vector<SlotRequest> slots = {gpu()};
  slots.resize(8, usb());
  EXPECT_THAT(assigned(slots),
              ElementsAre("0: 0 1", "0: 2", "0: 3", "0: 4", "0: 5", "0: 6", "0: 7", "1: 0"));
}

TEST(PortAssignment, EveryPortHasAGpu) {
  std::vector<SlotRequest> slots(kRootPorts, gpu());
  slots.push_back(usb());
  const auto places = assign_ports(slots);
  ASSERT_TRUE(places) << places.error().to_string();
  for (std::size_t i = 0; i < kRootPorts; ++i) {
    EXPECT_EQ((*places)[i].port, i);
    EXPECT_THAT((*places)[i].functions, ElementsAre(0, 1));
  }
  EXPECT_EQ(places->back().port, 0);
  // Two must share one, and say so both: else the one that is displaced has no place.
  slots.push_back({.name = "last", .kind = SlotKind::kGpu, .functions = {0, 1}});
  EXPECT_THAT(
      assigned(slots).front(),
      HasSubstr("last does not fit: all 32 root ports are taken; let it share one with gpu: "
                "write \"port = 0\" in both entries"));
  slots.front().port = slots.back().port = 0;
  EXPECT_EQ(assigned(slots).size(), slots.size());
}

// What a message says to write works.
TEST(PortAssignment, AdviceNamesAPortThatHasRoom) {
  std::vector<SlotRequest> slots;
  for (std::uint8_t port = 0; port < 4; ++port) {
    slots.push_back(at(usb({0, 1, 2, 3, 4, 5, 6, 7}), port));
  }
  slots.push_back(at(usb(), 1));
  EXPECT_THAT(assigned(slots).front(), HasSubstr("give it another one with \"port = 4\""));
  slots.back().port = 4;
  EXPECT_EQ(assigned(slots).size(), slots.size());
}

TEST(PortAssignment, AdviceSaysThatNoneHasRoom) {
  std::vector<SlotRequest> slots;
  for (std::uint8_t port = 0; port < kRootPorts; ++port) {
    slots.push_back(at(usb({0, 1, 2, 3, 4, 5, 6}), port));
  }
  slots.push_back(at(usb({0, 1}), 31));
  EXPECT_THAT(assigned(slots).front(), HasSubstr("no port has room for its 2 functions"));
}

TEST(PortAssignment, TooManyBehindThePortThatTheUserWants) {
  EXPECT_THAT(assigned({at(usb({0, 1, 2, 3, 4, 5, 6}), 31), at(usb({0, 1}), 31)}).front(),
              HasSubstr("does not fit behind root port 31: a port has 8 functions"));
}

// As of a device that leaves while it is looked at.
TEST(PortAssignment, ASlotWithoutFunctionsIsRefused) {
  EXPECT_THAT(assigned({gpu(), usb({})}).front(), HasSubstr("usb has no functions"));
}

TEST(PortAssignment, KindsOfSlots) {
  EXPECT_EQ(slot_kind_of(0x10de, 0x030000), SlotKind::kGpu);
  EXPECT_EQ(slot_kind_of(0x10de, 0x030200), SlotKind::kGpu);
  EXPECT_EQ(slot_kind_of(0x1002, 0x038000), SlotKind::kGpu);
  EXPECT_EQ(slot_kind_of(0x1002, 0x120000), SlotKind::kGpu);
  EXPECT_EQ(slot_kind_of(0x8086, 0x0b4000), SlotKind::kGpu);
  EXPECT_EQ(slot_kind_of(0x15b3, 0x020000), SlotKind::kOwn);
  EXPECT_EQ(slot_kind_of(0x15b3, 0x020700), SlotKind::kOwn);
  EXPECT_EQ(slot_kind_of(0x10de, 0x068000), SlotKind::kOwn);
  EXPECT_EQ(slot_kind_of(0x8086, 0x068000), SlotKind::kSmall);
  EXPECT_EQ(slot_kind_of(0x10de, 0x0c0330), SlotKind::kSmall);
  EXPECT_EQ(slot_kind_of(0x10de, 0x040300), SlotKind::kSmall);
}

}  // namespace
}  // namespace gpuvm::port_assignment_test
