// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/background_thread.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>

#include <array>
#include <new>
#include <string>
#include <thread>

namespace gpuvm::background_thread_test {
namespace {

std::string name_in_thread(const std::string& name) {
  std::array<char, 16> got{};
  std::thread([&] {
    enter_background_thread(name);
    pthread_getname_np(pthread_self(), got.data(), got.size());
  }).join();
  return got.data();
}

TEST(BackgroundThread, HasItsName) {
  EXPECT_EQ(name_in_thread("memory"), "memory");
}

TEST(BackgroundThread, ALongNameIsCut) {
  EXPECT_EQ(name_in_thread("virtio-blk 0:1.0 queue"), "virtio-blk 0:1.");
}

TEST(BackgroundThread, TakesNoSignal) {
  bool blocks_stop = false;
  std::thread([&] {
    enter_background_thread("memory");
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    blocks_stop = sigismember(&mask, SIGTERM) == 1 && sigismember(&mask, SIGINT) == 1;
  }).join();
  EXPECT_TRUE(blocks_stop);
}

TEST(BackgroundThread, WhatIsWaitedForIsTriedAgain) {
  int tries = 0;
  insist([&tries] {
    if (++tries < 3) {
      throw std::bad_alloc();
    }
  });
  EXPECT_EQ(tries, 3);
}

}  // namespace
}  // namespace gpuvm::background_thread_test
