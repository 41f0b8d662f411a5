// SPDX-License-Identifier: Apache-2.0
// What a child of fork(2) that becomes no other program has of its parent's files: O_CLOEXEC closes
// none of them.
#pragma once

#include <span>

namespace gpuvm {

/// Closes the descriptors of this process from the number `from` on, but for `kept`, which are in
/// no order. Takes no memory and makes system calls alone: also for the child of a process with
/// threads.
void close_inherited(std::span<const int> kept, unsigned from = 0) noexcept;

}  // namespace gpuvm
