// SPDX-License-Identifier: Apache-2.0
// FakeMachined: a bus of its own (dbus-daemon) and on it an org.freedesktop.machine1 that notes
// what it is asked. While it lives, DBUS_SYSTEM_BUS_ADDRESS names that bus.
#pragma once

#include <string>
#include <thread>
#include <vector>

#include "vmm/base/mutex.hpp"

namespace gpuvm::test {

class FakeMachined {
 public:
  /// false: no dbus-daemon can be had.
  static bool is_possible();
  /// What it says to a registration.
  enum class Says { kYes, kNo, kNothing };
  explicit FakeMachined(Says says = Says::kYes);
  ~FakeMachined();
  FakeMachined(const FakeMachined&) = delete;
  FakeMachined& operator=(const FakeMachined&) = delete;

  /// "RegisterMachine main 0102… gpuvm vm LEADER", "UnregisterMachine main": once there are so many
  /// of them, or after 20 s.
  std::vector<std::string> calls(std::size_t wanted);
  /// From its threads.
  void note(std::string call);
  Says says() const { return says_; }

 private:
  void start_bus();
  void serve();

  const Says says_;
  int bus_process_ = -1;
  std::string address_;
  Mutex mutex_;
  Condition changed_;
  std::vector<std::string> calls_ GPUVM_GUARDED_BY(mutex_);
  bool is_there_ GPUVM_GUARDED_BY(mutex_) = false;
  bool is_ending_ GPUVM_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace gpuvm::test
