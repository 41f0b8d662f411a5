// SPDX-License-Identifier: Apache-2.0
// The notifier on a control thread: events, the watchdog, and more time for what takes it.
#include "vmm/service/service_notifier.hpp"

#include <gmock/gmock.h>

#include <algorithm>
#include <thread>

#include "tests/unit/vmm/service/notify_receiver.hpp"
#include "vmm/base/asio.hpp"

namespace gpuvm::service_notifier_test {
namespace {

using std::chrono::milliseconds;
using State = LifecycleState;
using testing::Contains;
using testing::Each;
using testing::HasSubstr;
using testing::Not;

/// Nobody steers; who watches is told by the test.
class FakeControl : public GuestControl {
 public:
  LifecycleState state() const override { return State::kCreated; }
  void inspect(InspectNode& /*node*/) const override {}
  void press_power_button(Done /*done*/) override {}
  void reboot(Done /*done*/) override {}
  void pause(Done /*done*/) override {}
  void resume(Done /*done*/) override {}
  void stop(Done /*done*/) override {}
  void attach(std::string /*device*/, Done /*done*/) override {}
  void detach(std::string /*device*/, Done /*done*/) override {}
  std::uint64_t subscribe(GuestObserver observer) override {
    observer_ = std::move(observer);
    return 9;
  }
  void unsubscribe(std::uint64_t number) override {
    EXPECT_EQ(number, 9U);
    observer_ = nullptr;
  }
  void tell(State state) {
    if (observer_) {
      observer_({.what = StateChange{.to = state}});
    }
  }

 private:
  GuestObserver observer_;
};

class ServiceNotifierTest : public testing::Test {
 protected:
  void make(ServiceNotifier::Options options) {
    auto socket = NotifySocket::open(manager_.address());
    ASSERT_TRUE(socket);
    notifier_.emplace(context_, control_, std::move(socket).value(), std::move(options));
  }
  /// The control thread turns for so long.
  void turn(milliseconds time) {
    context_.restart();
    context_.run_for(time);
  }
  std::ptrdiff_t count(const std::string& wanted) {
    const auto come = manager_.all();
    return std::count(come.begin(), come.end(), wanted);
  }

  test::NotifyReceiver manager_;
  boost::asio::io_context context_{1};
  FakeControl control_;
  std::optional<ServiceNotifier> notifier_;
};

TEST_F(ServiceNotifierTest, EventsBecomeNotifications) {
  make({});
  EXPECT_THAT(manager_.next(), HasSubstr("STATUS=Building"));
  control_.tell(State::kRunning);
  EXPECT_EQ(manager_.next(), "READY=1\nSTATUS=Running");
  notifier_.reset();
  control_.tell(State::kStopping);
  EXPECT_EQ(manager_.next(), "");
}

TEST_F(ServiceNotifierTest, WithoutAWatchdogARunningGuestIsQuiet) {
  make({.extend_every = milliseconds(1)});
  control_.tell(State::kRunning);
  manager_.all();
  turn(milliseconds(50));
  EXPECT_THAT(manager_.all(), testing::IsEmpty());
}

TEST_F(ServiceNotifierTest, MoreTimeIsAskedForAgainAndAgain) {
  make({.extend_every = milliseconds(5)});
  control_.tell(State::kResetting);
  manager_.all();
  turn(milliseconds(200));
  const auto come = manager_.all();
  EXPECT_GE(come.size(), 3U);
  EXPECT_THAT(come, Each(ServiceReport::extension()));
}

// A start that never ends must end by the service's limit.
TEST_F(ServiceNotifierTest, ButNotWithoutEnd) {
  make({.extend_every = milliseconds(5), .longest_extension = milliseconds(50)});
  turn(milliseconds(100));
  EXPECT_GE(manager_.all().size(), 1U);
  turn(milliseconds(100));
  EXPECT_THAT(manager_.all(), testing::IsEmpty());
}

TEST_F(ServiceNotifierTest, TheWatchdogIsFedAtHalfOfItsTime) {
  int asked = 0;
  make({.watchdog = std::chrono::milliseconds(20),
        .ask_worker = [this, &asked](const ServiceNotifier::Answer& answer) {
          ++asked;
          boost::asio::post(context_, answer);
        }});
  control_.tell(State::kRunning);
  manager_.all();
  turn(milliseconds(300));
  const auto fed = count("WATCHDOG=1");
  EXPECT_GE(fed, 5);
  EXPECT_LE(fed, 31);
  EXPECT_GE(asked, 5);
}

TEST_F(ServiceNotifierTest, AControlThreadThatHangsFeedsNothing) {
  make({.watchdog = std::chrono::milliseconds(20)});
  manager_.all();
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(count("WATCHDOG=1"), 0);
}

// A reset takes minutes, and is no reason to kill the monitor in the middle of it.
TEST_F(ServiceNotifierTest, AWorkerThatIsAtWorkIsNoneThatHangs) {
  make({.watchdog = std::chrono::milliseconds(20), .ask_worker = [](const auto& /*answer*/) {}});
  turn(milliseconds(100));
  EXPECT_GE(count("WATCHDOG=1"), 2);
}

TEST_F(ServiceNotifierTest, AWorkerThatNeverAnswersIs) {
  make({.watchdog = std::chrono::milliseconds(20),
        .ask_worker = [](const auto& /*answer*/) {},
        .longest_work = milliseconds(50)});
  turn(milliseconds(150));
  EXPECT_GE(count("WATCHDOG=1"), 1);
  turn(milliseconds(150));
  EXPECT_EQ(count("WATCHDOG=1"), 0);
}

}  // namespace
}  // namespace gpuvm::service_notifier_test
