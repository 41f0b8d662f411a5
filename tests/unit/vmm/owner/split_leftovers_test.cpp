// SPDX-License-Identifier: Apache-2.0
// Real processes: descriptors that a hostile monitor has sent its owner, and that nobody has taken
// when it ends. As long as they were open no device could be given back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <thread>

#include "tests/unit/vmm/owner/split_process_fixture.hpp"
#include "vmm/owner/owner_socket.hpp"

namespace gpuvm::split_leftovers_test {
namespace {

using std::chrono::milliseconds;

class SplitLeftoversTest : public test::SplitProcessFixture {
 protected:
  SplitLeftoversTest() {
    std::array<int, 2> ends{-1, -1};
    if (::pipe(ends.data()) == 0) {
      out_.reset(ends[0]);
      in_.reset(ends[1]);
    }
    settle_ = [this] { in_.reset(); };  // the owner's own, when there is no monitor any more
    on_give_back_ = [this] {
      pollfd gone{.fd = out_.get(), .events = POLLIN, .revents = 0};
      is_open_ = ::poll(&gone, 1, 0) != 1;
    };
  }
  /// What a monitor says, with a descriptor that its owner has no use for.
  void send(int socket, std::string_view text) const {
    const std::array<int, 1> fds{in_.get()};
    owner::send_packet(socket, std::as_bytes(std::span(text)), fds);
  }

  UniqueFd out_;
  UniqueFd in_;
  bool is_open_ = true;  ///< when devices are given back
};

// The owner listens no more after a violation.
TEST_F(SplitLeftoversTest, OfItsRequests) {
  const auto status = run([this](Owner&) {
    const int socket = test::find_packet_socket();
    send(socket, "no request of ours");
    send(socket, "nor this");
    for (;;) {
      ::pause();
    }
    return 0;
  });
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, exit_status(ErrorKind::kInternal));
  EXPECT_EQ(given_back_, 1);
  EXPECT_FALSE(is_open_);
}

// More than the owner hears before it notices the monitor's end.
TEST_F(SplitLeftoversTest, OfItsNotifications) {
  unsigned told = 0;
  notify_ = [&told](std::string_view) {
    if (told++ == 0) {
      std::this_thread::sleep_for(milliseconds(1000));
    }
    return true;
  };
  const auto status = run([this](Owner&) {
    const std::string address = std::getenv("NOTIFY_SOCKET");  // "fd:7"
    const int socket = std::stoi(address.substr(3));
    const std::string_view alive = "WATCHDOG=1";
    owner::send_packet(socket, std::as_bytes(std::span(alive)), {});
    std::this_thread::sleep_for(milliseconds(300));
    for (int i = 0; i < 100; ++i) {
      send(socket, alive);
    }
    return 3;
  });
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 3);
  EXPECT_EQ(given_back_, 1);
  EXPECT_FALSE(is_open_);
}

}  // namespace
}  // namespace gpuvm::split_leftovers_test
