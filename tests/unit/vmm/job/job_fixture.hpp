// SPDX-License-Identifier: Apache-2.0
// JobTest: a job whose guest is a script (fake_guest.hpp).
#pragma once

#include <gtest/gtest.h>

#include <csignal>
#include <utility>

#include "tests/unit/vmm/job/fake_guest.hpp"
#include "vmm/job/job.hpp"

namespace gpuvm::test {

/// So short that no test waits, in an order that a busy machine keeps.
inline constexpr EndingTimes kShort = {.own_end = std::chrono::milliseconds(30),
                                       .pattern_rest = std::chrono::milliseconds(20),
                                       .power_off = std::chrono::milliseconds(40),
                                       .panic_silence = std::chrono::milliseconds(30),
                                       .panic_most = std::chrono::seconds(60)};

class JobTest : public testing::Test {
 protected:
  JobTest() {
    config_.name = "fake";
    config_.test.timeout = std::chrono::seconds(60);
    options_.ending = kShort;
    options_.retry_rest = std::chrono::milliseconds(1);
  }
  ~JobTest() override {
    // As the process finds them again once the report is written.
    sigset_t set{};
    ::sigemptyset(&set);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
      ::sigaddset(&set, signal);
    }
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  }
  JobReport run(Script script) {
    options_.run = fake_run(control_, std::move(script));
    return run_job(config_, options_);
  }
  Config config_;
  JobOptions options_;
  FakeControl control_;
};

/// Of a run that failed.
inline RunResult broken(ErrorKind kind) {
  return {.end = RunEnd::kFailed, .exit_status = exit_status(kind), .error = Error(kind, "broken")};
}

}  // namespace gpuvm::test
