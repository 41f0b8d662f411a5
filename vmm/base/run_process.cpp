// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/run_process.hpp"

#include <unistd.h>

#include <atomic>

namespace gpuvm {
namespace {

std::atomic<pid_t>& owner_process() {
  static std::atomic<pid_t> instance{0};
  return instance;
}

}  // namespace

pid_t run_process() {
  const pid_t owner = owner_process();
  return owner == 0 ? ::getpid() : owner;
}

void set_run_process(pid_t owner) {
  owner_process() = owner;
}

}  // namespace gpuvm
