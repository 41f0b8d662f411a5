// SPDX-License-Identifier: Apache-2.0
// ResetBook: what one who resets functions finds out, the others know.
#include "devices/physical/reset/reset_book.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "devices/physical/reset/guest_reset.hpp"
#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"

namespace gpuvm::reset_book_test {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr auto kHot = ResetMethod::kHotReset;
constexpr auto kFunction = ResetMethod::kFunctionReset;
const std::string kGpu = "0000:01:00.0";
const std::string kUsb = "0000:01:00.2";
const std::string kDisk = "0000:02:00.0";

/// A GPU with a USB controller in its slot, and a disk in another.
class ResetBookTest : public testing::Test {
 protected:
  ResetBookTest() {
    usb_.set16(0x0a, 0x0c03);
    disk_.set16(0x0a, 0x0108);
    host_.sets = {{member(kGpu), member(kUsb)}, {member(kDisk, 14)}};
    for (PhysicalDevice* const device : all_) {
      EXPECT_TRUE(book_.add(*device, {}));
    }
  }
  ResetPlan plan(const std::vector<PhysicalDevice*>& devices) {
    return book_.plan(devices).value();
  }
  std::vector<ResetMethod> order(const ResetPlan& made, ResetWish wish = ResetWish::kMachine) {
    return book_.current(made, wish).sets()[0].rungs;
  }
  /// From now on a hot reset leaves the GPU's link narrow, and a function reset cures it.
  void break_hot_reset() {
    host_.on_hot_reset = [this] {
      gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0013);
      return Status();
    };
    gpu_.on_function_reset = [this] {
      gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0083);
      return Status();
    };
  }
  std::string inspected(const std::string& name) {
    InspectNode node;
    book_.inspect(node);
    return std::string(node.child(name).get("did_not_help"));
  }

  History history_;
  FakeResetDevice gpu_{history_, kGpu};
  FakeResetDevice usb_{history_, kUsb};
  FakeResetDevice disk_{history_, kDisk};
  std::vector<PhysicalDevice*> all_{&gpu_, &usb_, &disk_};
  FakeResetHost host_{history_};
  FakeClock time_;
  ResetBook book_{host_};
};

TEST_F(ResetBookTest, WhatOneFindsOutAllKnow) {
  const ResetPlan machine = plan(all_);
  const ResetPlan port = plan({&gpu_, &usb_});
  const ResetPlan other_port = plan({&disk_});
  break_hot_reset();
  EXPECT_THAT(order(machine), ElementsAre(kHot, kFunction));
  EXPECT_EQ(book_.reset(port, time_.clock())[0].method, kFunction);
  EXPECT_THAT(order(machine), ElementsAre(kFunction, kHot));
  EXPECT_THAT(order(port), ElementsAre(kFunction, kHot));
  EXPECT_THAT(order(other_port), ElementsAre(kHot, kFunction));
  history_.clear();
  EXPECT_TRUE(check_all_safe(book_.reset(machine, time_.clock())));
  EXPECT_THAT(history_, testing::Not(testing::Contains("hot reset at " + kGpu)));
  EXPECT_THAT(history_, testing::Contains("hot reset at " + kDisk));
}

// A guest can make a reset fail once, its own or the one at its reboot; the next user's functions
// are reset as the table wants it.
TEST_F(ResetBookTest, AGuestHasNoSayInTheResetForTheNextUser) {
  for (const ResetWish wish : {ResetWish::kGuest, ResetWish::kReboot}) {
    ResetBook book(host_);
    for (PhysicalDevice* const device : all_) {
      ASSERT_TRUE(book.add(*device, {}));
    }
    const ResetPlan made = *book.plan(std::vector<PhysicalDevice*>{&gpu_, &usb_});
    const auto methods = [&](ResetWish by) { return book.current(made, by).sets()[0].rungs; };
    break_hot_reset();
    EXPECT_EQ(book.reset(made, time_.clock(), wish)[0].method, kFunction);
    EXPECT_THAT(methods(ResetWish::kReboot), ElementsAre(kFunction, kHot));
    EXPECT_THAT(methods(ResetWish::kNextUser), ElementsAre(kHot, kFunction));
    book.reset(made, time_.clock(), ResetWish::kNextUser);  // finds out for itself
    EXPECT_THAT(methods(ResetWish::kNextUser), ElementsAre(kFunction, kHot));
    host_.on_hot_reset = {};
    gpu_.on_function_reset = {};
  }
}

// What failed before any guest had the functions is true for the next user, too.
TEST_F(ResetBookTest, WhatFailedAtTheStartIsKnownAtTheStop) {
  const ResetPlan made = plan({&gpu_, &usb_});
  break_hot_reset();
  book_.reset(made, time_.clock(), ResetWish::kMachine);
  book_.reset(made, time_.clock(), ResetWish::kReboot);
  EXPECT_THAT(order(made, ResetWish::kNextUser), ElementsAre(kFunction, kHot));
}

TEST_F(ResetBookTest, WhatHelpsAgainIsTriedInItsUsualPlace) {
  const ResetPlan made = plan({&gpu_, &usb_});
  break_hot_reset();
  book_.reset(made, time_.clock());
  EXPECT_THAT(order(made), ElementsAre(kFunction, kHot));
  host_.on_hot_reset = [this] {
    gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0083);
    return Status();
  };
  gpu_.on_function_reset = [this] {
    gpu_.set16(FakeResetDevice::kExpress + 0x12, 0x0013);
    return Status();
  };
  EXPECT_EQ(book_.reset(made, time_.clock())[0].method, kHot);
  EXPECT_THAT(order(made), ElementsAre(kHot, kFunction));
  EXPECT_EQ(inspected(kGpu), "function reset");
}

TEST_F(ResetBookTest, WhereNothingHelpsTheOrderIsAsBefore) {
  const ResetPlan made = plan({&gpu_, &usb_});
  gpu_.is_power_stuck = true;
  host_.on_hot_reset = [this] {
    gpu_.set16(FakeResetDevice::kPower + 4, 3);
    return Status();
  };
  EXPECT_FALSE(check_all_safe(book_.reset(made, time_.clock())));
  EXPECT_EQ(inspected(kGpu), "hot reset, function reset");
  EXPECT_THAT(order(made), ElementsAre(kHot, kFunction));
}

// For instance because a device was busy.
TEST_F(ResetBookTest, AResetThatTheHostRefusesTeachesNothing) {
  const ResetPlan made = plan({&gpu_, &usb_});
  host_.on_hot_reset = [] { return Status(fail(ErrorKind::kHost, "Busy ten times")); };
  EXPECT_EQ(book_.reset(made, time_.clock())[0].method, kFunction);
  EXPECT_THAT(order(made), ElementsAre(kHot, kFunction));
}

// For instance because the link behind a port never tells that it is back.
TEST_F(ResetBookTest, AHotResetThatTheSetDidNotComeBackFromIsTriedLast) {
  const ResetPlan made = plan({&gpu_, &usb_});
  host_.on_hot_reset = [] { return Status(fail(ErrorKind::kUnsafeDevice, "No link")); };
  EXPECT_EQ(book_.reset(made, time_.clock())[0].method, kFunction);
  EXPECT_THAT(order(made), ElementsAre(kFunction, kHot));
}

TEST_F(ResetBookTest, AGuestsFunctionResetThatLosesTheFunctionTeachesTheMachine) {
  gpu_.set16(0, 0x10de);
  gpu_.set16(2, 0x2c05);  // GB203: a function reset comes first
  gpu_.registers[0] = 0x1b3000a1;
  book_.remove(kGpu);
  ASSERT_TRUE(book_.add(gpu_, {}));
  const ResetPlan machine = plan({&gpu_, &usb_});
  const ResetPlan alone = plan({&gpu_});
  EXPECT_THAT(order(machine), ElementsAre(kFunction, kHot));
  gpu_.is_gone = true;
  const auto& set = alone.sets()[0];
  const auto check = [&](const std::optional<Error>& refusal) {
    return check_guest_reset(alone, set, set.functions[0], kFunction, milliseconds(1),
                             time_.clock(), refusal);
  };
  book_.learn(check(Error(ErrorKind::kHost, "Busy")));
  EXPECT_THAT(order(machine), ElementsAre(kFunction, kHot));
  book_.learn(check({}));
  EXPECT_THAT(order(machine), ElementsAre(kHot, kFunction));
}

TEST_F(ResetBookTest, HowAFunctionMustLookIsKnownFromWhenItWasEntered) {
  FunctionState well = read_function_state(gpu_).value();
  well.answering_bars = 1;  // of BAR 0
  gpu_.is_gone = true;
  const ResetPlan made = plan({&gpu_});
  EXPECT_EQ(made.sets()[0].functions[0].before, well);
  EXPECT_TRUE(book_.add(gpu_, {})) << "it is in the book already";
  book_.remove(kGpu);
  EXPECT_EQ(book_.add(gpu_, {}).error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_TRUE(book_.add(gpu_, {.known = well}));
  EXPECT_EQ(plan({&gpu_}).sets()[0].functions[0].before, well);
}

TEST_F(ResetBookTest, FunctionsComeAndGo) {
  const std::vector<PhysicalDevice*> both{&gpu_, &usb_};
  const ResetPlan made = plan(both);
  break_hot_reset();
  book_.reset(made, time_.clock());
  EXPECT_EQ(inspected(kUsb), "hot reset");
  book_.remove(kUsb);
  EXPECT_EQ(inspected(kUsb), "");
  EXPECT_EQ(book_.plan(both).error().kind(), ErrorKind::kInternal);
  EXPECT_THAT(order(made), ElementsAre(kFunction, kHot)) << "the GPU's part of it";
  EXPECT_TRUE(check_all_safe(book_.reset(made, time_.clock()))) << "who has a plan may go on";
  EXPECT_EQ(inspected(kUsb), "");
  EXPECT_TRUE(book_.add(usb_, {}));
  EXPECT_EQ(inspected(kUsb), "none");
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

// A guest repeats the reset of a bus as fast as it can; what the machine does is told always.
TEST_F(ResetBookTest, AGuestsResetsThatFailDoNotFloodTheLog) {
  const ResetPlan made = plan({&gpu_, &usb_});
  host_.on_hot_reset =
      gpu_.on_function_reset = [] { return Status(fail(ErrorKind::kHost, "Not now")); };
  const auto said = [&](ResetWish wish, unsigned resets) {
    testing::internal::CaptureStderr();
    for (unsigned i = 0; i < resets; ++i) {
      EXPECT_FALSE(check_all_safe(book_.reset(made, time_.clock(), wish)));
    }
    return count_of(testing::internal::GetCapturedStderr(), "was not enough");
  };
  EXPECT_LT(said(ResetWish::kGuest, 100), 50U);
  // Few enough for the log's own limit on lines of one kind.
  EXPECT_EQ(said(ResetWish::kMachine, 10), 20U);
  EXPECT_EQ(said(ResetWish::kNextUser, 10), 20U);
}

// A reset takes minutes: others must get their answers meanwhile.
TEST_F(ResetBookTest, NoLockIsHeldWhileDevicesAreReset) {
  const ResetPlan made = plan({&gpu_, &usb_});
  const ResetPlan disk = plan({&disk_});
  std::promise<void> has_begun;
  std::promise<void> may_end;
  host_.on_hot_reset = [&] {
    has_begun.set_value();
    may_end.get_future().wait();
    return Status();
  };
  auto running = std::async(std::launch::async, [&] { return book_.reset(made, time_.clock()); });
  has_begun.get_future().wait();
  EXPECT_EQ(inspected(kGpu), "none");
  EXPECT_THAT(order(made), ElementsAre(kHot, kFunction));
  book_.remove(kDisk);
  EXPECT_TRUE(book_.add(disk_, {}));
  book_.learn({.names = {kDisk}, .method = kFunction, .did_not_help = {kHot}});
  EXPECT_THAT(order(disk), ElementsAre(kFunction, kHot));
  may_end.set_value();
  EXPECT_TRUE(check_all_safe(running.get()));
}

}  // namespace
}  // namespace gpuvm::reset_book_test
