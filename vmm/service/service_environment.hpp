// SPDX-License-Identifier: Apache-2.0
// ServiceEnvironment: what a service manager tells the process that it starts by its environment
// (sd_notify(3), sd_watchdog_enabled(3)).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

namespace gpuvm {

struct ServiceEnvironment {
  std::string notify_socket = {};  ///< NOTIFY_SOCKET, unchecked; "": nobody wants to be told
  /// The service manager ends the process when it has not heard WATCHDOG=1 for so long.
  std::optional<std::chrono::microseconds> watchdog = {};

  /// `get`: as getenv(3). A watchdog that is another process's, shorter than 1 ms or longer than a
  /// day is none.
  static ServiceEnvironment read(const std::function<const char*(const char*)>& get, pid_t self);
  /// Of this process. Before it has threads.
  static ServiceEnvironment of_process();
};

}  // namespace gpuvm
