// SPDX-License-Identifier: Apache-2.0
// VmIoctl: how a table talks to its VM, so that tests can be the kernel.
#pragma once

#include <sys/ioctl.h>

#include <functional>

namespace gpuvm {

/// As ioctl(2) of a VM: -1 and errno on errors. Empty: there is no VM now. Any thread.
using VmIoctl = std::function<int(unsigned long request, void* argument)>;

inline VmIoctl vm_ioctl(int vm_fd) {
  return
      [vm_fd](unsigned long request, void* argument) { return ::ioctl(vm_fd, request, argument); };
}

}  // namespace gpuvm
