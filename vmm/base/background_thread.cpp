// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/background_thread.hpp"

#include <pthread.h>
#include <signal.h>

#include <cstddef>

namespace gpuvm {

void enter_background_thread(const std::string& name) {
  sigset_t signals;
  sigfillset(&signals);
  sigdelset(&signals, SIGSYS);
  pthread_sigmask(SIG_SETMASK, &signals, nullptr);
  constexpr std::size_t kLongest = 15;  // a longer one is refused by the kernel (TASK_COMM_LEN)
  pthread_setname_np(pthread_self(), name.substr(0, kLongest).c_str());
}

}  // namespace gpuvm
