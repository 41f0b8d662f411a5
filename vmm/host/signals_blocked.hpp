// SPDX-License-Identifier: Apache-2.0
// SignalsBlocked: what is done meanwhile on this thread cannot be interrupted and not be ended by a
// signal, but for SIGKILL, and SIGSYS for a forbidden call (vmm/sandbox). Signals wait until it goes.
#pragma once

#include <signal.h>

namespace gpuvm {

class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::sigdelset(&all, SIGSYS);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace gpuvm
