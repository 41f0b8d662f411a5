// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/notify_relay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <cstring>
#include <vector>

namespace gpuvm::notify_relay_test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// What sd_notify(3) could make of the owner's service is not the monitor's to say.
TEST(NotifyRelayTest, OnlyWhatIsListedPasses) {
  EXPECT_EQ(allowed_notification("READY=1"), "READY=1");
  EXPECT_EQ(allowed_notification("STOPPING=1\nSTATUS=Made quiet"), "STOPPING=1\nSTATUS=Made quiet");
  EXPECT_EQ(allowed_notification("WATCHDOG=1\n\nEXTEND_TIMEOUT_USEC=60000000\n"),
            "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=60000000");
  EXPECT_EQ(allowed_notification("READY=1\nMAINPID=1\nSTATUS=Running"), "READY=1\nSTATUS=Running");
  for (const std::string text :
       {"", "MAINPID=1", "FDSTORE=1", "WATCHDOG=trigger", "WATCHDOG_USEC=1", "READY=0", "READY=1 ",
        "RELOADING=1", "BUSERROR=x", "EXIT_STATUS=0", "EXTEND_TIMEOUT_USEC=60000001",
        "EXTEND_TIMEOUT_USEC=", "EXTEND_TIMEOUT_USEC=1x", "EXTEND_TIMEOUT_USEC=-1",
        "STATUS=\x1b[31m", "status=x"}) {
    EXPECT_EQ(allowed_notification(text), "") << text;
  }
  EXPECT_EQ(allowed_notification("STATUS=" + std::string(600, 'x')), "");
  EXPECT_EQ(allowed_notification(std::string("READY=1\0X", 9)), "");
}

void tell(const std::string& address, const std::string& text) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, address.data(), address.size());
  name.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
  ::sendto(fd.get(), text.data(), text.size(), MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&name), size);
}

TEST(NotifyRelayTest, OnlyTheMonitorIsHeard) {
  std::vector<std::string> sent;
  auto relay = NotifyRelay::create([&sent](std::string_view text) {
                 sent.emplace_back(text);
                 return true;
               }).value();
  ASSERT_EQ(relay.address().front(), '@');
  const pid_t other = ::fork();
  if (other == 0) {
    tell(relay.address(), "READY=1");
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(other, nullptr, 0), other);
  relay.pass_on(::getpid());
  EXPECT_THAT(sent, IsEmpty()) << "another process is not the monitor";
  tell(relay.address(), "STATUS=Running\nMAINPID=1");
  tell(relay.address(), "MAINPID=1");
  tell(relay.address(), std::string(5000, 'x'));
  tell(relay.address(), "WATCHDOG=1");
  relay.pass_on(::getpid());
  EXPECT_THAT(sent, ElementsAre("STATUS=Running", "WATCHDOG=1"));
}

/// One that a guest has taken over must not keep the host's service manager busy.
TEST(NotifyRelayTest, AFloodOfTheMonitorsIsHeldBack) {
  unsigned sent = 0;
  auto now = NotifyRelay::Clock::time_point();
  auto relay = NotifyRelay::create(
                   [&sent](std::string_view) {
                     ++sent;
                     return true;
                   },
                   [&now] { return now; })
                   .value();
  const auto flood = [&relay] {
    for (unsigned i = 0; i < 1000; ++i) {
      tell(relay.address(), "STATUS=Running");
      relay.pass_on(::getpid());
    }
  };
  flood();
  EXPECT_EQ(sent, NotifyRelay::kBurst);
  now += 3 * NotifyRelay::kEvery;
  flood();
  EXPECT_EQ(sent, NotifyRelay::kBurst + 3);
  now += std::chrono::hours(1);
  flood();
  EXPECT_EQ(sent, 2 * NotifyRelay::kBurst + 3);
}

}  // namespace
}  // namespace gpuvm::notify_relay_test
