// SPDX-License-Identifier: Apache-2.0
// may_raise_priority: whether threads of this process can be idle ones for a while.
#pragma once

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace gpuvm::test {

/// Whether the kernel lets this process raise a priority that it has lowered; asked of a child, in
/// another way than the code does.
inline bool may_raise_priority() {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool may =
        ::setpriority(PRIO_PROCESS, 0, 19) == 0 && ::setpriority(PRIO_PROCESS, 0, 0) == 0;
    ::_exit(may ? 0 : 1);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

}  // namespace gpuvm::test
