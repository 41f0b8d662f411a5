// SPDX-License-Identifier: Apache-2.0
// SplitProcessFixture: real processes. The test's is the owner, its children are monitors.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <string_view>

#include "tests/unit/vmm/owner/noting_owner.hpp"
#include "vmm/owner/split_process.hpp"

namespace gpuvm::test {

/// The monitor's own end of the socket, found among its descriptors: for what OwnerClient never
/// sends. Where it has no other socket for packets.
inline int find_packet_socket() {
  for (int fd = 3; fd < 256; ++fd) {
    int type = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET) {
      return fd;
    }
  }
  ::_exit(98);
}

class SplitProcessFixture : public testing::Test {
 protected:
  using Monitor = std::function<int(Owner&)>;

  SplitProcessFixture() { ::pthread_sigmask(SIG_SETMASK, nullptr, &before_); }
  ~SplitProcessFixture() override {
    ::alarm(0);
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

  /// What became of an owner whose monitor is `monitor`, which runs in the child and returns its
  /// exit status.
  Result<int> run(const Monitor& monitor) {
    ::alarm(60);  // nothing here may hang
    OwnerSide side{.duties = duties_};
    side.cards = 2;
    side.settle = settle_;
    side.give_back = [this](pid_t killed) {
      killed_ = killed;
      ++given_back_;
      if (on_give_back_) {
        on_give_back_();
      }
      return given_back_status_;
    };
    side.notify = notify_;
    side.longest_end = longest_end_;
    side.is_dumpable = true;  // for sanitizers
    auto split = split_process(side);
    if (split && split->monitor) {
      const int status = monitor(*split->monitor);
      ::_exit(status);
    }
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);  // for the next one
    if (!split) {
      return split.error();
    }
    return split->exit_status.value();
  }

  NotingOwner duties_;
  std::function<bool(std::string_view)> notify_ = {};
  std::function<void()> settle_ = {};
  std::function<void()> on_give_back_ = {};
  std::chrono::milliseconds longest_end_ = std::chrono::minutes(20);
  Status given_back_status_ = {};
  int given_back_ = 0;
  pid_t killed_ = -1;

 private:
  sigset_t before_{};
};

}  // namespace gpuvm::test
