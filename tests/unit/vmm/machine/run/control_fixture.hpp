// SPDX-License-Identifier: Apache-2.0
// ControlTest: a control loop that runs on a thread of its own, with a fake machine. The test's
// thread is everybody else.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <future>
#include <optional>
#include <thread>

#include "tests/unit/vmm/machine/run/fake_machine.hpp"
#include "vmm/base/asio.hpp"
#include "vmm/machine/run/control_loop.hpp"

namespace gpuvm::test {

class ControlTest : public testing::Test {
 protected:
  static constexpr int kStatus = 128 + SIGTERM;

  ~ControlTest() override {
    if (control_.joinable()) {
      control_.join();
    }
  }
  void make(ControlLoop::Options options = {}) {
    loop_.reset();
    machine_.emplace(events_);
    loop_ = std::make_unique<ControlLoop>(std::move(options), events_);
  }
  /// From now on loop_.run() runs.
  void start() {
    if (!loop_) {
      make();
    }
    control_ = std::thread([this] { result_.set_value(loop_->run(*machine_)); });
  }
  /// Until the guest runs.
  void run_guest() {
    start();
    sync_requests();
    ASSERT_EQ(loop_->state(), LifecycleState::kRunning);
  }
  /// What has been posted to the control thread before is done when this returns.
  void sync() {
    std::promise<void> done;
    boost::asio::post(loop_->context(), [&done] { done.set_value(); });
    done.get_future().wait();
  }
  /// Returns when it is done, also where the loop ends by it: what is posted later is not done
  /// then.
  void on_control(const std::function<void()>& action) {
    std::promise<void> done;
    boost::asio::post(loop_->context(), [&done, &action] {
      action();
      done.set_value();
    });
    done.get_future().wait();
  }
  void ask_for_end() {
    on_control([this] { loop_->ask_for_end(kStatus); });
  }
  static void raise_signal(int number) { ASSERT_EQ(::kill(::getpid(), number), 0); }
  using Request = void (ControlLoop::*)(GuestControl::Done);
  std::future<Status> ask(Request request) {
    auto promise = std::make_shared<std::promise<Status>>();
    auto future = promise->get_future();
    (*loop_.*request)([promise](Status status) { promise->set_value(std::move(status)); });
    return future;
  }
  /// Asks, and waits for what came of it.
  Status done(Request request) { return ask(request).get(); }
  ErrorKind refused(Request request) {
    const auto status = done(request);
    EXPECT_FALSE(status);
    return status ? ErrorKind::kInternal : status.error().kind();
  }
  /// Requests are carried out in their order: when this one is done, those before are.
  void sync_requests() { (void)done(&ControlLoop::press_power_button); }
  RunResult wait() {
    auto result = result_.get_future().get();
    control_.join();
    return result;
  }
  RunResult power_off() {
    loop_->requests().power_off();
    return wait();
  }

  GuestEvents events_{"main"};
  std::optional<FakeMachine> machine_;
  std::unique_ptr<ControlLoop> loop_;
  std::promise<RunResult> result_;
  std::thread control_;
};

}  // namespace gpuvm::test
