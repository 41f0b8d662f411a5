// SPDX-License-Identifier: Apache-2.0
// What a thread that lasts does first: of a queue, a connection, memory. Their helpers inherit it.
#pragma once

#include <string>

namespace gpuvm {

/// Makes the calling thread one that works for others: it takes no signal, for signals are the
/// control thread's, and it has a name for ps and gdb, of which the kernel keeps 15 characters.
void enter_background_thread(const std::string& name);

}  // namespace gpuvm
