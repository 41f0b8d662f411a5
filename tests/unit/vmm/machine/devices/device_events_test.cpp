// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/device_events.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "vmm/base/asio.hpp"

namespace gpuvm::device_events_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Events : public ::testing::Test {
 protected:
  Events() {
    gpu_.set_irq(IrqType::kError, 1);
    gpu_.set_irq(IrqType::kRequest, 1);
  }
  void watch() {
    auto events = DeviceEvents::create(
        context_, {&gpu_, &plain_},
        {.on_error = [this](const Error& error) { errors_.push_back(error.to_string()); },
         .on_request = [this](const std::string& name) { requests_.push_back(name); }});
    ASSERT_TRUE(events) << events.error().to_string();
    events_ = std::move(events).value();
    ASSERT_TRUE(events_->start());
  }

  boost::asio::io_context context_;
  test::FakePhysicalDevice gpu_{test::gt710_config()};
  test::FakePhysicalDevice plain_{test::upd720200_config(), "0000:02:00.0"};  // has neither
  std::vector<std::string> errors_;
  std::vector<std::string> requests_;
  std::unique_ptr<DeviceEvents> events_;
};

TEST_F(Events, NothingIsToldUntilSomethingHappens) {
  watch();
  context_.poll();
  EXPECT_TRUE(errors_.empty());
  EXPECT_TRUE(requests_.empty());
  EXPECT_TRUE(plain_.history.empty());
}

TEST_F(Events, AnErrorOfADeviceThatStillAnswers) {
  watch();
  gpu_.fire(IrqType::kError, 0);
  context_.poll();
  EXPECT_THAT(errors_, ElementsAre(HasSubstr("0000:01:00.0 has reported an error")));
  EXPECT_TRUE(requests_.empty());
}

TEST_F(Events, AnErrorOfADeviceThatHasLeft) {
  watch();
  gpu_.set_gone(true);
  gpu_.fire(IrqType::kError, 0);
  context_.poll();
  EXPECT_THAT(errors_, ElementsAre(HasSubstr("A device of the guest has left: Device is gone")));
}

TEST_F(Events, ARequestIsToldOnce) {
  watch();
  for (int i = 0; i < 3; ++i) {
    gpu_.fire(IrqType::kRequest, 0);
    context_.poll();
  }
  EXPECT_THAT(requests_, ElementsAre("0000:01:00.0"));
  EXPECT_TRUE(errors_.empty());
}

// A vfio-user server has the same eventfd and may have made it one whose reader waits: nobody
// reads.
TEST_F(Events, TheEventIsLeftUnread) {
  watch();
  gpu_.fire(IrqType::kError, 0);
  context_.poll();
  ASSERT_EQ(errors_.size(), 1U);
  pollfd unread{.fd = gpu_.irq_fds.at(IrqType::kError).at(0), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&unread, 1, 0), 1);
}

TEST_F(Events, TheEndDisconnects) {
  watch();
  events_.reset();
  EXPECT_TRUE(gpu_.irq_fds.empty());
  context_.poll();
  EXPECT_TRUE(errors_.empty());
}

TEST_F(Events, WhatIsSaidBeforeTheStartIsKept) {
  auto events = DeviceEvents::create(
      context_, {&gpu_},
      {.on_error = [this](const Error& error) { errors_.push_back(error.to_string()); },
       .on_request = [](const std::string&) {}});
  ASSERT_TRUE(events);
  gpu_.fire(IrqType::kError, 0);
  EXPECT_EQ(context_.poll(), 0U);
  EXPECT_TRUE(errors_.empty());
  ASSERT_TRUE((*events)->start());
  context_.restart();
  context_.poll();
  EXPECT_EQ(errors_.size(), 1U);
}

// A vfio-user server that hangs up when it is asked to connect an interrupt: it says so by the one
// that is connected, and the thread that connects lets go of all.
TEST_F(Events, WhereConnectingFailsNothingIsWaitedFor) {
  class HangsUp : public test::FakePhysicalDevice {
   public:
    using FakePhysicalDevice::FakePhysicalDevice;
    Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) override {
      if (type == IrqType::kError) {
        return FakePhysicalDevice::set_irq_fds(type, start, fds);
      }
      fire(IrqType::kError, 0);
      return fail(ErrorKind::kHost, "Its vfio-user server has gone");
    }
  } device(test::gt710_config());
  device.set_irq(IrqType::kError, 1);
  device.set_irq(IrqType::kRequest, 1);
  EXPECT_FALSE(DeviceEvents::create(context_, {&device}, {}));
  EXPECT_EQ(context_.poll(), 0U);
}

TEST_F(Events, ADeviceThatRefusesIsAnError) {
  gpu_.fail_irqs = true;
  const auto events = DeviceEvents::create(context_, {&gpu_}, {});
  ASSERT_FALSE(events);
  EXPECT_THAT(events.error().to_string(), HasSubstr("Watching 0000:01:00.0"));
}

}  // namespace
}  // namespace gpuvm::device_events_test
