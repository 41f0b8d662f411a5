// SPDX-License-Identifier: Apache-2.0
// Programs that a runner's stage starts: some it waits for, one stays when the stage is over.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct Spawn {
  std::vector<std::string> arguments;  ///< [0] is the program's path
  int input = -1;                      ///< its standard input; -1: /dev/null
  int output = -1;                     ///< its standard output and error; -1: ours
  bool own_session = false;            ///< no signal for our process group or terminal reaches it
};

/// It has our environment, no signal blocked, and none of our other descriptors. Errors: kHost.
Result<pid_t> spawn(const Spawn& program);

/// How it ended, as a shell says it: its exit status, or 128 and a signal's number. Errors: kHost.
Result<int> await_end(pid_t pid);

/// Which process a number stands for: numbers are given again, start times are not (proc(5), stat,
/// field 22).
struct ProcessIdentity {
  pid_t pid = 0;
  std::uint64_t start_time = 0;

  bool operator==(const ProcessIdentity&) const = default;
};

/// Of a process that lives; with start time 0 of one that does not, or has ended and is not yet
/// waited for.
ProcessIdentity identify(pid_t pid);
/// It lives.
bool is_alive(const ProcessIdentity& process);

}  // namespace gpuvm
