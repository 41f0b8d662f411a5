// SPDX-License-Identifier: Apache-2.0
// MachineRegistration: a guest among the machines that systemd-machined knows (machinectl list), by
// D-Bus (org.freedesktop.machine1). Missing: the guest's network interfaces and its vsock address,
// which newer machined take.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string>
#include <thread>

#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// From its making to its destruction. A bus or a machined that is not there, or does not want the
/// guest, is a line for debugging and nothing else.
class MachineRegistration {
 public:
  struct Machine {
    std::string name = {};
    std::array<std::byte, 16> id = {};  ///< in the order of its text form
  };
  enum class Begin {
    kAtOnce,
    kLater,  ///< at begin(), where no thread may be made any more
  };
  /// Returns at once: a thread of its own does it. That is, the bus is the environment's
  /// DBUS_SYSTEM_BUS_ADDRESS, or the system's.
  explicit MachineRegistration(Machine machine, Begin begin = Begin::kAtOnce);
  /// Takes it back; waits for machined, at most kStartLimit and twice kLimit.
  ~MachineRegistration();
  MachineRegistration(const MachineRegistration&) = delete;
  MachineRegistration& operator=(const MachineRegistration&) = delete;

  /// Any thread; further calls do nothing.
  void begin() GPUVM_EXCLUDES(mutex_);

  /// For the bus, and for taking the guest back.
  static constexpr std::chrono::milliseconds kLimit{1500};
  /// For the registration: the bus may have to start machined.
  static constexpr std::chrono::milliseconds kStartLimit{5000};

 private:
  void run() GPUVM_EXCLUDES(mutex_);
  bool wait_for_begin() GPUVM_EXCLUDES(mutex_);
  void wait_for_end() GPUVM_EXCLUDES(mutex_);

  const Machine machine_;
  Mutex mutex_;
  Condition changed_;
  bool has_begun_ GPUVM_GUARDED_BY(mutex_);
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;  ///< last: it uses what is above
};

}  // namespace gpuvm
