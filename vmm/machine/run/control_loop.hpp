// SPDX-License-Identifier: Apache-2.0
// ControlLoop: the control thread's decisions about a guest, from its building to its end: what
// follows a reset, a power-off, a signal, a failure, a request. It decides and never waits: what
// takes time (build, power on, reboot, pause, stop) is done by one worker thread, which has the
// machine to itself, one work after the other.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/bus/lifecycle.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_control.hpp"
#include "vmm/control/run_result.hpp"
#include "vmm/kvm/virtual_cpu.hpp"

namespace boost::asio {
class io_context;
}

namespace gpuvm {

class GuestMachine;

class ControlLoop : public GuestControl {
 public:
  struct Options {
    RebootAction on_reboot = RebootAction::kReset;
    /// As RebootBackoff has it: the longest wait of a guest that reboots in a loop; 0: none.
    std::chrono::seconds reboot_backoff{0};
    /// How long a guest may take to power off after its power button was pressed.
    std::chrono::seconds power_off_grace{30};
    /// How long a guest may take to let go of a card that is asked for.
    std::chrono::seconds detach_grace{30};
    /// The same signal so soon after the one that asked for the end is the same request: timeout(1)
    /// sends its child two, one of them by the process group, and terminals and supervisors do as
    /// much.
    std::chrono::milliseconds same_request{500};
    /// Called on the control thread when the machine is built and before its guest runs; may be
    /// empty.
    std::function<void()> on_built = {};
    /// Called after that on the worker's thread, before the guest's first instruction; may be
    /// empty.
    std::function<void()> before_guest = {};
    /// Called on the control thread, with the worker idle: a card has come by attach(); it is about
    /// to be taken out. May be empty.
    std::function<void()> on_card_in = {};
    std::function<void(const std::string& device)> on_card_out = {};
    /// The destructor blocks SIGINT, SIGTERM and SIGHUP in its thread, so that none is lost, or
    /// ends the process, between this and who takes them next.
    bool holds_ending_signals = false;
  };
  /// Takes SIGINT, SIGTERM, SIGUSR1, SIGUSR2, and SIGHUP where it is not ignored, until it is
  /// destroyed. `events` outlives this and is the machine's.
  ControlLoop(Options options, GuestEvents& events);
  ~ControlLoop() override;
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  boost::asio::io_context& context();

  // Called from any thread; each posts to the control thread.
  MachineRequests requests();
  void vcpu_ended(VcpuEvent event, const std::string& failure);

  void fail(Error error);
  /// The guest has switched the power of the slot behind this root port.
  void slot_switched(std::uint8_t port, bool is_powered);
  /// This card, which came by attach(), is to go without asking: it has failed.
  void lose_card(std::string device);

  /// The user wants the guest to end: the first call presses the power button, the second ends it.
  /// Control thread.
  void ask_for_end(int status_if_forced);
  /// As the first call of ask_for_end(), and nothing where there was one: for hosts, which ask for
  /// each function of a device by itself, and have no say in how long the guest may take.
  void ask_once_for_end(int status_if_forced);

  /// `answer` is called on the control thread once the worker has done what it was given before,
  /// while run() runs. Control thread.
  void ask_worker(std::function<void()> answer);

  /// Builds the machine, runs its guest and stops it. Returns when nothing of it is at work any
  /// more. Once, on what is the control thread from then on.
  RunResult run(GuestMachine& machine);

  LifecycleState state() const override;
  void inspect(InspectNode& node) const override;
  void press_power_button(Done done) override;
  void reboot(Done done) override;
  void pause(Done done) override;
  void resume(Done done) override;
  void stop(Done done) override;
  void attach(std::string device, Done done) override;
  void detach(std::string device, Done done) override;
  std::uint64_t subscribe(GuestObserver observer) override;
  void unsubscribe(std::uint64_t observer) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpuvm
