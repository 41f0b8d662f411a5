// SPDX-License-Identifier: Apache-2.0
// FakeGuest: stands in for run_machine(): a script of what a guest does, as a job sees it, without
// a machine.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/mutex.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm::test {

/// The control that a job is given: it writes down what is asked of it.
class FakeControl : public GuestControl {
 public:
  LifecycleState state() const override { return LifecycleState::kRunning; }
  void inspect(InspectNode&) const override {}
  void press_power_button(Done) override { ask("button"); }
  void reboot(Done) override { ask("reboot"); }
  void pause(Done) override { ask("pause"); }
  void resume(Done) override { ask("resume"); }
  void stop(Done) override { ask("stop"); }
  void attach(std::string, Done) override { ask("attach"); }
  void detach(std::string, Done) override { ask("detach"); }
  std::uint64_t subscribe(GuestObserver) override { return 0; }
  void unsubscribe(std::uint64_t) override {}

  /// Until the job has asked this, or for so long. False: it has not.
  bool wait_for(const std::string& wish, std::chrono::seconds limit = std::chrono::seconds(60)) {
    MutexLock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + limit;
    while (std::find(asked_.begin(), asked_.end(), wish) == asked_.end()) {
      if (!changed_.wait_until(lock, end)) {
        return false;
      }
    }
    return true;
  }
  std::vector<std::string> asked() {
    const MutexLock lock(mutex_);
    return asked_;
  }

 private:
  void ask(const std::string& what) {
    const MutexLock lock(mutex_);
    asked_.push_back(what);
    changed_.notify_all();
  }
  Mutex mutex_;
  Condition changed_;
  std::vector<std::string> asked_ GPUVM_GUARDED_BY(mutex_);
};

/// What a script may do.
class FakeGuest {
 public:
  FakeGuest(const RunOptions& options, FakeControl& control)
      : options_(options), control_(control) {}

  void event(decltype(GuestEvent::what) what) {
    for (const auto& observer : options_.observers) {
      observer({std::chrono::system_clock::now(), "fake", what});
    }
  }
  void enter(LifecycleState to) { event(StateChange{.from = state_, .to = to}), state_ = to; }
  void start() { enter(LifecycleState::kResetting), enter(LifecycleState::kRunning); }
  void exit(const std::string& channel, std::uint32_t status) {
    event(GuestWord{.channel = channel, .word = "exit", .status = status});
  }
  void word(const std::string& channel, const std::string& what) {
    event(GuestWord{.channel = channel, .word = what});
  }
  void print(std::string_view text, ConsoleSource source = ConsoleSource::kSerial) {
    options_.on_console(source, std::as_bytes(std::span(text)));
  }
  FakeControl& control() { return control_; }
  const RunOptions& options() const { return options_; }

 private:
  const RunOptions& options_;
  FakeControl& control_;
  LifecycleState state_ = LifecycleState::kCreated;
};

using Script = std::function<RunResult(FakeGuest&)>;

/// In place of run_machine(): plays the script.
inline std::function<RunResult(const Config&, const RunOptions&)> fake_run(FakeControl& control,
                                                                           Script script) {
  return [&control, script = std::move(script)](const Config&, const RunOptions& options) {
    options.on_control(control);
    FakeGuest guest(options, control);
    const RunResult result = script(guest);
    guest.enter(LifecycleState::kStopping);
    guest.enter(LifecycleState::kStopped);
    options.on_control_over();
    return result;
  };
}

}  // namespace gpuvm::test
