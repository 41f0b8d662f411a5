// SPDX-License-Identifier: Apache-2.0
// ControlLoop: the control thread's decisions while a guest runs: what follows a reset, a
// power-off, a signal or a failure. One io_context; everything that changes the machine happens on
// it, or, for a reboot, on a thread that has the machine until it is done.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/bus/lifecycle.hpp"
#include "vmm/config/config.hpp"
#include "vmm/kvm/vcpu.hpp"

namespace boost::asio {
class io_context;
}

namespace gpuvm {

class Machine;

/// How long a guest may take to power off after its power button was pressed.
constexpr std::chrono::seconds kPowerOffGrace{30};

class ControlLoop {
 public:
  explicit ControlLoop(RebootAction on_reboot);
  ~ControlLoop();
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  boost::asio::io_context& context();

  // Called from any thread; each posts to the control thread.
  MachineRequests requests();
  void vcpu_ended(VcpuEvent event, const std::string& failure);

  void fail(Error error);

  /// The user wants the guest to end: the first call presses the power button, the second ends it.
  /// Control thread.
  void ask_for_end(int status_if_forced);
  /// As the first call of ask_for_end(), and nothing where there was one: for hosts, which ask for
  /// each function of a device by itself, and have no say in how long the guest may take.
  void ask_once_for_end(int status_if_forced);

  /// Before run(): whether a signal or the escape key broke off the start; outcome() has the exit
  /// status then. Control thread.
  bool is_over();
  Result<int> outcome();

  /// Runs until the guest is over; the machine has been powered on. The value is the exit status.
  Result<int> run(Machine& machine);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gpuvm
