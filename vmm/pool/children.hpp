// SPDX-License-Identifier: Apache-2.0
// The processes of a pool's guests: made by fork(2) of a process with one thread, with a lease and
// with none of the pool's own descriptors, so that nothing of a pool outlives it in a guest.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::pool {

/// The descriptors of this process that are open now. Errors: kHost.
Result<std::vector<int>> open_descriptors();

struct Child {
  pid_t pid = 0;
  UniqueFd process = {};  ///< pidfd_open(2): readable once it has ended
  UniqueFd lease = {};    ///< the other end of the child's
};

/// `run` is called in the child with its end of the lease, and what it returns is the child's exit
/// status; of the parent's descriptors only `kept` are open there. The child is no member of the
/// terminal's group, reads nothing, and has the signals of `unblocked` let through. Errors: kHost.
Result<Child> start_child(const std::vector<int>& kept, const sigset_t& unblocked,
                          const std::function<int(UniqueFd lease)>& run);

/// Of a child that has ended, for people: "exit status 69", "signal 9".
std::string reap(const Child& child);

}  // namespace gpuvm::pool
