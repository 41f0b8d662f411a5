// SPDX-License-Identifier: Apache-2.0
// The process that stands for a guest's run towards others: that was started, has the devices in
// the end, and is the one to send signals to. Records, `gpuvm ps` and machined show its number.
#pragma once

#include <sys/types.h>

namespace gpuvm {

/// This process; in a monitor its owner's. Any thread.
pid_t run_process();

/// In a monitor, before it has a second thread; 0: it is this process again.
void set_run_process(pid_t owner);

}  // namespace gpuvm
