// SPDX-License-Identifier: Apache-2.0
// A thread that turns hostile: what a guest that has taken it over would try. Payloads are for
// tests; a build has them in its threads only with the option GPUVM_HOSTILE_THREADS, which no
// release has, and where the environment names a role (GPUVM_HOSTILE=vcpu).
#pragma once

#include <span>

#include "vmm/sandbox/roles/thread_role.hpp"

namespace gpuvm::sandbox {

/// One thing that is tried. It undoes what it has done where it succeeds.
struct Payload {
  const char* name;  ///< "open a file"
  /// 0: it worked; else errno.
  int (*attempt)();
};
std::span<const Payload> payloads();

/// Tries all on the calling thread when it has entered the role that the environment names, once in
/// a process, and writes a line for each to stderr: "hostile vcpu: open a file: worked" or ":
/// refused (errno 1)". Without the build option it does nothing.
void act_hostile(ThreadRole role);

}  // namespace gpuvm::sandbox
