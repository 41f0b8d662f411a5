// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/notify_relay.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
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

void tell(const NotifyRelay& relay, const std::string& text) {
  ::send(relay.monitor_end(), text.data(), text.size(), MSG_DONTWAIT);
}

TEST(NotifyRelayTest, OnlyTheMonitorIsHeard) {
  std::vector<std::string> sent;
  auto relay = NotifyRelay::create([&sent](std::string_view text) {
                 sent.emplace_back(text);
                 return true;
               }).value();
  const pid_t other = ::fork();
  if (other == 0) {
    tell(relay, "READY=1");
    ::_exit(0);
  }
  ASSERT_EQ(::waitpid(other, nullptr, 0), other);
  relay.pass_on(::getpid());
  EXPECT_THAT(sent, IsEmpty()) << "another process is not the monitor";
  tell(relay, "STATUS=Running\nMAINPID=1");
  tell(relay, "MAINPID=1");
  tell(relay, std::string(5000, 'x'));
  tell(relay, "WATCHDOG=1");
  relay.pass_on(::getpid());
  EXPECT_THAT(sent, ElementsAre("STATUS=Running", "WATCHDOG=1"));
}

/// With the address of another socket in a message: of datagrams it would go there.
TEST(NotifyRelayTest, TheMonitorsEndLeadsNowhereElse) {
  unsigned sent = 0;
  auto relay = NotifyRelay::create([&sent](std::string_view) {
                 ++sent;
                 return true;
               }).value();
  const UniqueFd other(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  socklen_t size = sizeof(sa_family_t);  // the kernel chooses one (unix(7), Autobind)
  ASSERT_EQ(::bind(other.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
  size = sizeof name;
  ASSERT_EQ(::getsockname(other.get(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  ::sendto(relay.monitor_end(), "READY=1", 7, MSG_DONTWAIT,
           reinterpret_cast<const sockaddr*>(&name), size);
  char byte = 0;
  EXPECT_LT(::recv(other.get(), &byte, 1, 0), 0);
  relay.pass_on(::getpid());
  EXPECT_EQ(sent, 1U);
}

/// The owner would hear of it for ever.
TEST(NotifyRelayTest, OneThatIsClosedIsNotWaitedFor) {
  auto relay = NotifyRelay::create([](std::string_view) { return true; }).value();
  tell(relay, "READY=1");
  relay.close_monitor_end();
  relay.pass_on(::getpid());
  EXPECT_EQ(relay.fd(), -1);
  relay.pass_on(::getpid());
}

/// Any user of the host could fill one with a name, and the watchdog would hear nothing.
TEST(NotifyRelayTest, NobodyElseFindsTheSocket) {
  const auto relay = NotifyRelay::create([](std::string_view) { return true; }).value();
  sockaddr_storage name{};
  socklen_t size = sizeof name;
  ASSERT_EQ(::getsockname(relay.fd(), reinterpret_cast<sockaddr*>(&name), &size), 0);
  EXPECT_EQ(size, sizeof(sa_family_t)) << "no name";
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
      tell(relay, "STATUS=Running");
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
