// SPDX-License-Identifier: Apache-2.0
// Real processes: this one is the owner, its children are monitors, of ours and hostile ones.
#include "vmm/owner/split_process.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <thread>

#include "tests/unit/vmm/owner/split_process_fixture.hpp"
#include "vmm/owner/monitor_process.hpp"
#include "vmm/owner/owner_messages.hpp"
#include "vmm/owner/owner_socket.hpp"

namespace gpuvm::split_process_test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::StartsWith;

class SplitProcessTest : public test::SplitProcessFixture {};

[[noreturn]] void die(int number) {
  ::signal(number, SIG_DFL);
  ::raise(number);
  ::_exit(99);
}

/// The steps of a monitor's life that its owner hears of.
constexpr int kSteps = 6;
Status take_step(Owner& owner, int step) {
  switch (step) {
    case 0:
      return owner.hold_function(test::held("0000:01:00.0"), UniqueFd(::dup(2)), UniqueFd());
    case 1:
      return owner.hold_state("socket-1.state", UniqueFd(::dup(2)));
    case 2: {
      const auto file = owner.declare_file("/vars", FileUse::kReplace);
      return file ? Status() : Status(file.error());
    }
    case 3:
      return owner.guest_runs();
    case 4:
      return owner.retrain_link(Bdf::parse("0000:01:00.0").value());
    default:
      return owner.replace_file(0, std::vector<std::byte>(10));
  }
}

TEST_F(SplitProcessTest, AMonitorThatEndsWell) {
  const auto status = run([](Owner& owner) {
    for (int step = 0; step < kSteps; ++step) {
      if (!take_step(owner, step)) {
        return 1;
      }
    }
    return 42;
  });
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(*status, 42);
  EXPECT_EQ(given_back_, 1);
  EXPECT_EQ(killed_, 0) << "it ended by itself";
  EXPECT_THAT(duties_.notes,
              ElementsAre("hold 0000:01:00.0 claim", "state socket-1.state", "declare /vars",
                          "guest runs", "retrain 0000:01:00.0", "replace 100 by 10 bytes"));
}

/// However it ended: what it leaves may have its files.
TEST_F(SplitProcessTest, WhatAMonitorLeavesIsAwaited) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  const auto status = run([](Owner&) {
    if (::fork() == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
      ::_exit(0);
    }
    return 3;
  });
  EXPECT_EQ(status.value(), 3);
  in.reset();
  pollfd gone{.fd = out.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&gone, 1, 0), 1) << "the last other holder is gone";
}

TEST_F(SplitProcessTest, OneThatIsKilledAtAnyStep) {
  for (int last = 0; last <= kSteps; ++last) {
    for (const int number : {SIGKILL, SIGSEGV}) {
      duties_.notes.clear();
      given_back_ = 0;
      killed_ = 0;
      const auto status = run([last, number](Owner& owner) {
        for (int step = 0; step < last; ++step) {
          if (!take_step(owner, step)) {
            return 1;
          }
        }
        die(number);
        return 0;
      });
      ASSERT_TRUE(status) << status.error().to_string();
      EXPECT_EQ(*status, 128 + number) << last;
      EXPECT_EQ(given_back_, 1) << last;
      EXPECT_GT(killed_, 0) << last;
      EXPECT_EQ(duties_.notes.size(), static_cast<std::size_t>(last));
    }
  }
}

// The kill comes while the owner works, or while the answer is on its way.
TEST_F(SplitProcessTest, OneThatDoesNotWaitForAnswers) {
  for (int turn = 0; turn < 20; ++turn) {
    const auto status = run([turn](Owner& owner) {
      std::thread killer([turn] {
        std::this_thread::sleep_for(std::chrono::microseconds(200 * turn));
        ::kill(::getpid(), SIGKILL);
      });
      for (int step = 0;; step = (step + 1) % kSteps) {
        static_cast<void>(take_step(owner, step < 3 && step > 0 ? 0 : step));
      }
      return 0;
    });
    ASSERT_TRUE(status);
    EXPECT_TRUE(*status == 137 || *status == 70) << *status;  // killed, or for the second hand-over
  }
  EXPECT_EQ(given_back_, 20);
}

TEST_F(SplitProcessTest, WhatWentWrongAtTheEndDecides) {
  given_back_status_ = fail(ErrorKind::kUnsafeDevice, "0000:01:00.0 did not come back");
  const auto unsafe = run([](Owner&) { return 3; });
  ASSERT_FALSE(unsafe);
  EXPECT_EQ(unsafe.error().kind(), ErrorKind::kUnsafeDevice);
  given_back_status_ = fail(ErrorKind::kHost, "The driver is gone");
  EXPECT_EQ(run([](Owner&) { return 3; }).value(), 3) << "the monitor's own error is first";
  const auto back = run([](Owner&) { return 0; });
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().kind(), ErrorKind::kHost);
}

[[noreturn]] void sleep_for_ever() {
  for (;;) {
    ::pause();
  }
}

TEST_F(SplitProcessTest, HostileOnesAreKilled) {
  const std::vector<std::function<void(int)>> attacks{
      [](int socket) { owner::send_packet(socket, std::vector<std::byte>(100), {}); },
      [](int socket) {
        owner::send_packet(socket, owner::encode(1, owner::RetrainLink{.function = 0}), {});
      },
      [](int socket) {
        owner::send_packet(socket, owner::encode(1, owner::GuestRuns{}), {});
        owner::send_packet(socket, owner::encode(2, owner::DeclareFile{.path = "/etc/shadow"}), {});
      },
      [](int socket) {
        owner::send_packet(socket, owner::encode(1, owner::GuestRuns{}), {});
        owner::send_packet(socket, owner::encode(2, owner::OpenFile{.file = 0}), {});
      },
      [](int socket) {
        const std::array<int, 2> fds{socket, socket};
        owner::send_packet(socket, owner::encode(1, owner::GuestRuns{}), fds);
      }};
  for (std::size_t i = 0; i < attacks.size(); ++i) {
    given_back_ = 0;
    const auto status = run([&attacks, i](Owner&) {
      ::signal(SIGTERM, SIG_IGN);
      attacks[i](test::find_packet_socket());
      sleep_for_ever();
      return 0;
    });
    ASSERT_TRUE(status) << i;
    EXPECT_EQ(*status, 70) << i;
    EXPECT_EQ(given_back_, 1) << i;
    EXPECT_GT(killed_, 0) << i;
  }
}

// A flood without end: what comes waits, and signals get through all the same.
TEST_F(SplitProcessTest, AFloodDoesNotKeepTheOwnerFromSignals) {
  const pid_t owner_process = ::getpid();
  const auto status = run([owner_process](Owner&) {
    const int socket = test::find_packet_socket();
    ::signal(SIGTERM, SIG_DFL);
    const auto check = owner::encode(1, owner::DeclareFile{.path = "/vars"});
    owner::Packet packet;
    for (int i = 0;; ++i) {
      owner::send_packet(socket, check, {});
      owner::receive_packet(socket, packet);
      if (i == 2000) {
        ::kill(owner_process, SIGTERM);  // as a service manager would; it is passed on
      }
    }
    return 0;
  });
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 128 + SIGTERM);
  EXPECT_EQ(given_back_, 1);
  EXPECT_LE(duties_.notes.size(), 1000U) << "requests have a rate";
}

TEST_F(SplitProcessTest, SignalsArePassedOn) {
  const pid_t owner_process = ::getpid();
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGQUIT, SIGABRT, SIGRTMIN + 4}) {
    const auto status = run([owner_process, number](Owner&) {
      sigset_t set{};
      ::sigemptyset(&set);
      ::sigaddset(&set, number);
      ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
      ::kill(owner_process, number);
      int got = 0;
      ::sigwait(&set, &got);
      return got == number ? 7 : 1;
    });
    ASSERT_TRUE(status);
    EXPECT_EQ(*status, 7) << number;
  }
}

// One that a guest has taken over. The service manager would end the owner with it.
TEST_F(SplitProcessTest, OneThatDoesNotEndIsKilled) {
  const pid_t owner_process = ::getpid();
  std::vector<std::string> told;
  notify_ = [&told](std::string_view text) {
    told.emplace_back(text);
    return true;
  };
  longest_end_ = std::chrono::milliseconds(200);
  const auto asked_by = [owner_process](int number) {
    return [owner_process, number](Owner&) {
      ::signal(number, SIG_IGN);
      ::kill(owner_process, number);
      std::this_thread::sleep_for(std::chrono::milliseconds(1000));
      return 9;
    };
  };
  for (const int number : {SIGHUP, SIGUSR1}) {
    EXPECT_EQ(run(asked_by(number)).value(), 9) << "nobody has to end for this one";
  }
  EXPECT_EQ(killed_, 0);
  for (const int number : {SIGTERM, SIGINT, SIGRTMIN + 4}) {
    told.clear();
    EXPECT_EQ(run(asked_by(number)).value(), 70) << number;
    EXPECT_GT(killed_, 0);
    ASSERT_FALSE(told.empty());
    EXPECT_EQ(told.front(), "EXTEND_TIMEOUT_USEC=15200000");
  }
  EXPECT_EQ(given_back_, 5);
}

TEST_F(SplitProcessTest, NotificationsArePassedOnAndTheOwnerHasItsOwn) {
  std::vector<std::string> told;
  notify_ = [&told](std::string_view text) {
    told.emplace_back(text);
    return true;
  };
  ::setenv("WATCHDOG_PID", "1", 1);
  const auto status = run([](Owner&) {
    const std::string address = std::getenv("NOTIFY_SOCKET");
    const std::string watched = std::getenv("WATCHDOG_PID");
    const bool is_open =
        address.starts_with("fd:") && ::fcntl(std::stoi(address.substr(3)), F_GETFD) >= 0;
    return is_open && watched == std::to_string(::getpid()) ? 5 : 1;
  });
  ::unsetenv("WATCHDOG_PID");
  ASSERT_TRUE(status);
  EXPECT_EQ(*status, 5);
  EXPECT_THAT(told, Contains(StartsWith("STOPPING=1\nSTATUS=Giving devices back\nEXTEND_TIMEOUT")));
  EXPECT_EQ(std::getenv("NOTIFY_SOCKET"), nullptr) << "the owner's environment is as it was";
}

// Nobody would give its devices back.
TEST_F(SplitProcessTest, TheMonitorDoesNotOutliveItsOwner) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(::pipe(ends), 0);
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  const pid_t owner_process = ::fork();
  if (owner_process == 0) {
    static_cast<void>(run([&in](Owner&) {
      static_cast<void>(!::write(in.get(), "x", 1));
      sleep_for_ever();
      return 0;
    }));
    ::_exit(0);
  }
  in.reset();
  char byte = 0;
  ASSERT_EQ(::read(out.get(), &byte, 1), 1);
  ::kill(owner_process, SIGKILL);
  ASSERT_EQ(::waitpid(owner_process, nullptr, 0), owner_process);
  pollfd gone{.fd = out.get(), .events = POLLIN, .revents = 0};
  ASSERT_EQ(::poll(&gone, 1, 20000), 1);
  EXPECT_EQ(::read(out.get(), &byte, 1), 0) << "its last holder is gone";
}

TEST_F(SplitProcessTest, TheStatusOfAKilledOneCanBeAnother) {
  OwnerSide side{.duties = duties_};
  side.status_of_killed = 122;
  side.is_dumpable = true;
  const auto split = split_process(side);
  if (split && split->monitor) {
    die(SIGKILL);
  }
  ASSERT_TRUE(split);
  EXPECT_EQ(split->exit_status, 122);
  EXPECT_THAT(duties_.notes, IsEmpty());
}

/// A job whose guest said "passed", and whose device did not come back in its owner's hands.
TEST_F(SplitProcessTest, SoCanThatOfADeviceThatDidNotComeBack) {
  for (const auto kind : {ErrorKind::kUnsafeDevice, ErrorKind::kHost}) {
    for (const int monitor : {0, 3}) {
      OwnerSide side{.duties = duties_};
      side.give_back = [kind](pid_t) -> Status { return fail(kind, "made up"); };
      side.status_of_killed = 122;
      side.status_of_unsafe = 120;
      side.is_dumpable = true;
      const auto split = split_process(side);
      if (split && split->monitor) {
        ::_exit(monitor);
      }
      ASSERT_TRUE(split) << split.error().to_string();
      const bool is_unsafe = kind == ErrorKind::kUnsafeDevice;
      EXPECT_EQ(split->exit_status, is_unsafe ? 120 : monitor == 0 ? 122 : monitor);
    }
  }
}

}  // namespace
}  // namespace gpuvm::split_process_test
