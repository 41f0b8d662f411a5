// SPDX-License-Identifier: Apache-2.0
// NoMoreThreads: while it lives this process can make no thread, as one that has reached its limit:
// new threads ask for a stack that no address space has.
#pragma once

#include <gtest/gtest.h>
#include <pthread.h>

#include <cstddef>

namespace gpuvm::test {

class NoMoreThreads {
 public:
  NoMoreThreads() {
    EXPECT_EQ(::pthread_getattr_default_np(&before_), 0);
    pthread_attr_t without;
    EXPECT_EQ(::pthread_getattr_default_np(&without), 0);
    EXPECT_EQ(::pthread_attr_setstacksize(&without, std::size_t{1} << 62), 0);
    EXPECT_EQ(::pthread_setattr_default_np(&without), 0);
    ::pthread_attr_destroy(&without);
  }
  ~NoMoreThreads() {
    EXPECT_EQ(::pthread_setattr_default_np(&before_), 0);
    ::pthread_attr_destroy(&before_);
  }
  NoMoreThreads(const NoMoreThreads&) = delete;
  NoMoreThreads& operator=(const NoMoreThreads&) = delete;

 private:
  pthread_attr_t before_{};
};

}  // namespace gpuvm::test
