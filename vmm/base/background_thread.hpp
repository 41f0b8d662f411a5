// SPDX-License-Identifier: Apache-2.0
// enter_background_thread: the first thing that each long-lived thread does which is neither the
// control thread nor a vCPU's (those that serve a queue, read a connection, prepare memory).
// Threads that it starts inherit the blocked signals.
#pragma once

#include <chrono>
#include <exception>
#include <optional>
#include <string>
#include <thread>
#include <utility>

namespace gpuvm {

/// Blocks all signals in the calling thread, since they are for the control thread, but SIGSYS,
/// which is for the thread that made a forbidden call (vmm/sandbox), and gives it a name for ps and
/// gdb, of which the kernel keeps 15 characters.
void enter_background_thread(const std::string& name);

/// Does a thread's work, and says what it threw, such as "std::bad_alloc"; nothing: it ended well.
/// An exception that left a thread would end the process where it stands, and leave the devices as
/// they are: who uses this ends what the thread worked for in an orderly way.
template <class Work>
std::optional<std::string> thrown_by(Work&& work) {
  try {
    std::forward<Work>(work)();
    return std::nullopt;
  } catch (const std::exception& error) {
    return error.what();
  }
}

/// Does what somebody waits for, such as handing over the outcome of a work, again and again until
/// it does not throw, with pauses: memory may come back.
template <class Work>
void insist(const Work& work) {
  constexpr std::chrono::milliseconds kPause{10};
  while (thrown_by(work)) {
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace gpuvm
