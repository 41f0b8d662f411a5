// SPDX-License-Identifier: Apache-2.0
// FakeMachine: a GuestMachine whose works can be held where they are, and told how to end.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/control/guest_events.hpp"
#include "vmm/machine/run/guest_machine.hpp"

namespace gpuvm::test {

class FakeMachine : public GuestMachine {
 public:
  explicit FakeMachine(GuestEvents& events) : events_(events) {}

  // For the test, from any thread.

  /// The work of this name does not end before release(), nor before break_off() where it is one
  /// that waits for memory.
  void hold(const std::string& work) {
    const MutexLock lock(mutex_);
    held_.insert(work);
  }
  void release(const std::string& work) {
    const MutexLock lock(mutex_);
    held_.erase(work);
    changed_.notify_all();
  }
  /// break_off() ends it although it is held.
  void let_break_off(const std::string& work) {
    const MutexLock lock(mutex_);
    breakable_.insert(work);
  }
  void set_outcome(const std::string& work, const Status& outcome) {
    const MutexLock lock(mutex_);
    outcomes_.insert_or_assign(work, outcome);
  }
  void throw_in(const std::string& work) {
    const MutexLock lock(mutex_);
    throwing_.insert(work);
  }
  /// Waits until there have been so many calls of this name.
  void wait_for(const std::string& call, std::ptrdiff_t count = 1) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    MutexLock lock(mutex_);
    while (std::count(calls_.begin(), calls_.end(), call) < count) {
      if (!changed_.wait_until(lock, end)) {
        FAIL() << "no call of " << call;
      }
    }
  }
  std::vector<std::string> calls() const {
    const MutexLock lock(mutex_);
    return calls_;
  }
  std::ptrdiff_t count(const std::string& call) const {
    const MutexLock lock(mutex_);
    return std::count(calls_.begin(), calls_.end(), call);
  }

  Status build(const IsUnwanted& is_unwanted) override {
    TRY(work("build"));
    return is_unwanted() ? Status(fail(ErrorKind::kCancelled, "Broken off")) : Status();
  }
  Status power_on(const IsUnwanted& is_unwanted) override {
    enter(LifecycleState::kResetting);
    TRY(work("power_on"));
    if (is_unwanted()) {
      return fail(ErrorKind::kCancelled, "Broken off");
    }
    enter(LifecycleState::kRunning);
    return {};
  }
  void stop_vcpus() override { (void)work("stop_vcpus"); }
  Status reboot(const IsUnwanted& is_unwanted) override {
    enter(LifecycleState::kRebooting);
    TRY(work("reboot"));
    if (!is_unwanted()) {
      enter(LifecycleState::kRunning);
    }
    return {};
  }
  Status pause() override {
    TRY(work("pause"));
    enter(LifecycleState::kPaused);
    return {};
  }
  Status resume() override {
    TRY(work("resume"));
    enter(LifecycleState::kRunning);
    return {};
  }
  Status attach(const std::string& device, const IsUnwanted&) override {
    return work("attach " + device);
  }
  /// Of port 3, whatever it is; `released` may be set while nothing runs. "short card" is another
  /// name of "card".
  Result<AskedSlot> ask_for(const std::string& device) override {
    TRY(work("ask " + device));
    return AskedSlot{
        .port = 3, .is_released = released, .card = device.substr(device.rfind(' ') + 1)};
  }
  Status take_out(const std::string& device) override { return work("take_out " + device); }
  bool released = false;
  Status stop() override {
    enter(LifecycleState::kStopping);
    auto outcome = work("stop");
    enter(LifecycleState::kStopped);
    return outcome;
  }
  void break_off() override {
    const MutexLock lock(mutex_);
    is_broken_off_ = true;
    note("break_off");
  }
  void press_power_button() override {
    const MutexLock lock(mutex_);
    note("power_button");
  }
  LifecycleState state() const override {
    const MutexLock lock(mutex_);
    return lifecycle_.state();
  }
  void inspect(InspectNode& node) const override { node.field("state", to_string(state())); }

 private:
  void note(const std::string& call) GPUVM_REQUIRES(mutex_) {
    calls_.push_back(call);
    changed_.notify_all();
  }
  Status work(const std::string& name) {
    MutexLock lock(mutex_);
    note(name);
    while (held_.contains(name) && !(is_broken_off_ && breakable_.contains(name))) {
      changed_.wait(lock);
    }
    if (throwing_.contains(name)) {
      throw std::runtime_error("no memory for " + name);
    }
    const auto found = outcomes_.find(name);
    return found == outcomes_.end() ? Status() : found->second;
  }
  void enter(LifecycleState next) {
    StateChange change{.to = next};
    {
      const MutexLock lock(mutex_);
      change.from = lifecycle_.state();
      EXPECT_TRUE(lifecycle_.enter(next)) << to_string(change.from) << " to " << to_string(next);
    }
    events_.state(change);
  }

  GuestEvents& events_;
  mutable Mutex mutex_;
  Condition changed_;
  Lifecycle lifecycle_ GPUVM_GUARDED_BY(mutex_);
  bool is_broken_off_ GPUVM_GUARDED_BY(mutex_) = false;
  std::vector<std::string> calls_ GPUVM_GUARDED_BY(mutex_);
  std::set<std::string> held_ GPUVM_GUARDED_BY(mutex_);
  std::set<std::string> breakable_ GPUVM_GUARDED_BY(mutex_);
  std::set<std::string> throwing_ GPUVM_GUARDED_BY(mutex_);
  std::map<std::string, Status> outcomes_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm::test
