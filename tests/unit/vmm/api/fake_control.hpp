// SPDX-License-Identifier: Apache-2.0
// FakeControl: a guest that is steered, without one: it notes what it is asked, and answers on the
// control thread as the real one does.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/asio.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/control/guest_control.hpp"

namespace gpuvm::test {

class FakeControl : public GuestControl {
 public:
  explicit FakeControl(boost::asio::io_context& context) : context_(context) {}

  LifecycleState state() const override { return LifecycleState::kRunning; }
  void inspect(InspectNode& node) const override {
    node.field("name", "main");
    auto& vcpu = node.child("kvm").child("vcpu_0");
    vcpu.field("port_exits", std::uint64_t{7});
    auto& device = node.child("host_devices").child("0000:01:00.0");
    device.field("port", std::uint64_t{2});
    device.field("function", std::uint64_t{0});
    const MutexLock lock(mutex_);
    ++inspections_;
  }
  void press_power_button(Done done) override { ask("power-button", std::move(done)); }
  void reboot(Done done) override { ask("reset", std::move(done)); }
  void pause(Done done) override { ask("pause", std::move(done)); }
  void resume(Done done) override { ask("resume", std::move(done)); }
  void stop(Done done) override { ask("stop", std::move(done)); }
  void attach(std::string device, Done done) override { ask("attach " + device, std::move(done)); }
  void detach(std::string device, Done done) override { ask("detach " + device, std::move(done)); }
  std::uint64_t subscribe(GuestObserver observer) override {
    observer_ = std::move(observer);
    return 1;
  }
  void unsubscribe(std::uint64_t) override { observer_ = nullptr; }

  /// On the control thread, as all events come.
  void emit(GuestEvent event) {
    event.guest = "main";
    event.time = std::chrono::system_clock::now();
    boost::asio::post(context_, [this, event] {
      if (observer_) {
        observer_(event);
      }
    });
  }
  /// What requests are answered with from now on.
  void answer_with(Status status) {
    const MutexLock lock(mutex_);
    answer_ = std::move(status);
  }
  std::vector<std::string> asked() const {
    const MutexLock lock(mutex_);
    return asked_;
  }
  std::size_t inspections() const {
    const MutexLock lock(mutex_);
    return inspections_;
  }

 private:
  void ask(const std::string& what, Done done) {
    const MutexLock lock(mutex_);
    asked_.push_back(what);
    boost::asio::post(context_, [done = std::move(done), status = answer_] { done(status); });
  }

  boost::asio::io_context& context_;
  GuestObserver observer_;
  mutable Mutex mutex_;
  std::vector<std::string> asked_ GPUVM_GUARDED_BY(mutex_);
  mutable std::size_t inspections_ GPUVM_GUARDED_BY(mutex_) = 0;
  Status answer_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm::test
