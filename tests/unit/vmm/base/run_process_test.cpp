// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/run_process.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace gpuvm::run_process_test {
namespace {

TEST(RunProcess, IsThisOneOrItsOwner) {
  EXPECT_EQ(run_process(), ::getpid());
  set_run_process(4711);
  EXPECT_EQ(run_process(), 4711);
  set_run_process(0);
  EXPECT_EQ(run_process(), ::getpid());
}

}  // namespace
}  // namespace gpuvm::run_process_test
