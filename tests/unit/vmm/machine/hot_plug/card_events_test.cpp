// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/hot_plug/card_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "vmm/base/asio.hpp"

namespace gpuvm::card_events_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CardEventsTest : public testing::Test {
 protected:
  CardEventsTest() {
    for (auto* const device : {&first_, &second_}) {
      device->set_irq(IrqType::kError, 1);
      device->set_irq(IrqType::kRequest, 1);
    }
  }

  boost::asio::io_context context_;
  test::FakePhysicalDevice first_{test::gt710_config(), "0000:01:00.0"};
  test::FakePhysicalDevice second_{test::gt710_config(), "0000:02:00.0"};
  std::vector<std::string> told_;
  CardEvents events_{
      context_,
      {.on_error =
           [this](const std::string& card, const Error& error) {
             told_.push_back(card + " failed: " + error.to_string());
           },
       .on_request = [this](const std::string& card) { told_.push_back(card + " is wanted"); }}};
};

TEST_F(CardEventsTest, WhatACardSaysIsKeptUntilTheStart) {
  ASSERT_TRUE(events_.prepare("first", {&first_}));
  first_.fire(IrqType::kRequest, 0);
  context_.poll();
  EXPECT_THAT(told_, IsEmpty());
  events_.start();
  context_.restart();
  context_.poll();
  EXPECT_THAT(told_, ElementsAre("first is wanted"));
}

TEST_F(CardEventsTest, CardsAreToldApart) {
  ASSERT_TRUE(events_.prepare("first", {&first_}));
  events_.start();
  ASSERT_TRUE(events_.prepare("second", {&second_}));
  events_.start();
  second_.fire(IrqType::kError, 0);
  context_.poll();
  EXPECT_THAT(told_, ElementsAre(HasSubstr("second failed: 0000:02:00.0 has reported")));
}

TEST_F(CardEventsTest, NothingIsHeardOfOneThatIsForgotten) {
  ASSERT_TRUE(events_.prepare("first", {&first_}));
  events_.start();
  ASSERT_TRUE(events_.prepare("second", {&second_}));
  events_.forget("first");
  events_.forget("second");
  events_.forget("third");
  EXPECT_TRUE(first_.irq_fds[IrqType::kError].empty()) << "nor does the device keep an eventfd";
  events_.start();
  context_.restart();
  context_.poll();
  EXPECT_THAT(told_, IsEmpty());
}

TEST_F(CardEventsTest, ACardThatCannotBeWatchedIsAnError) {
  first_.fail_irqs = true;
  EXPECT_FALSE(events_.prepare("first", {&first_}));
  events_.start();
}

}  // namespace
}  // namespace gpuvm::card_events_test
