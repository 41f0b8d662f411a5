// SPDX-License-Identifier: Apache-2.0
// enter_background_thread: the first thing that each long-lived thread does which is neither the
// control thread nor a vCPU's (those that serve a queue, read a connection, prepare memory).
// Threads that it starts inherit the blocked signals.
#pragma once

#include <string>

namespace gpuvm {

/// Blocks all signals in the calling thread, since they are for the control thread, but SIGSYS,
/// which is for the thread that made a forbidden call (vmm/sandbox), and gives it a name for ps and
/// gdb, of which the kernel keeps 15 characters.
void enter_background_thread(const std::string& name);

}  // namespace gpuvm
