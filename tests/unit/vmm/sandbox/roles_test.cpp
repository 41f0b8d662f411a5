// SPDX-License-Identifier: Apache-2.0
// Threads of every role, turned hostile.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <sstream>
#include <thread>

#include "tests/hostile/payloads.hpp"
#include "tests/unit/devices/physical/no_more_threads.hpp"
#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/sandbox/roles/role_tables.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::sandbox::roles_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

Policy policy_of(Mode mode, bool has_owner = true) {
  Policy policy;
  policy.mode = mode;
  policy.has_owner = has_owner;
  policy.writes_line = false;
  return policy;
}

/// What a thread of the role says of its payloads, a line each: "NAME: OUTCOME".
ChildEnd turn_hostile(ThreadRole role, const Policy& policy) {
  return in_child([&](int fd) {
    if (!prepare(policy)) {
      say(fd, "not prepared");
      return;
    }
    std::thread([fd, role] {
      enter(role);
      for (const Payload& payload : payloads()) {
        const int outcome = payload.attempt();
        say(fd, fmt::format("{}: {}\n", payload.name, outcome));
      }
    }).join();
  });
}

std::vector<std::string> worked(const std::string& said) {
  std::vector<std::string> names;
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);) {
    if (line.ends_with(": 0")) {
      names.push_back(line.substr(0, line.size() - 3));
    }
  }
  return names;
}

class EveryRole : public testing::TestWithParam<ThreadRole> {};

/// Without the sandbox they work: else the next test would prove nothing.
TEST(Hostile, WorksWithoutASandbox) {
  if (kHasThreadSanitizer) {
    GTEST_SKIP() << "raw processes are not for it";
  }
  const auto end = turn_hostile(ThreadRole::kVcpu, policy_of(Mode::kOff));
  EXPECT_TRUE(end.ended_well());
  EXPECT_EQ(std::count(end.said.begin(), end.said.end(), '\n'),
            static_cast<std::ptrdiff_t>(payloads().size()));
  std::set<std::string> failed;
  std::istringstream lines(end.said);
  for (std::string line; std::getline(lines, line);) {
    if (!line.ends_with(": 0")) {
      failed.insert(line);
    }
  }
  if (::geteuid() != 0) {
    failed.erase("make a namespace: 1");
  }
  EXPECT_THAT(failed, IsEmpty());
}

TEST_P(EveryRole, RefusesAllToAMonitorOfAnOwner) {
  const auto end = turn_hostile(GetParam(), policy_of(Mode::kOn));
  EXPECT_TRUE(end.ended_well()) << end.said;
  EXPECT_EQ(std::count(end.said.begin(), end.said.end(), '\n'),
            static_cast<std::ptrdiff_t>(payloads().size()))
      << end.said;
  EXPECT_THAT(worked(end.said), IsEmpty()) << end.said;
}

/// A process without an owner opens files on two kinds of threads: those of its policy, if the
/// kernel has Landlock, and here the policy names none.
TEST_P(EveryRole, RefusesAllButFilesWithoutAnOwner) {
  const auto end = turn_hostile(GetParam(), policy_of(Mode::kOn, false));
  EXPECT_TRUE(end.ended_well()) << end.said;
  if (opens_files(GetParam(), false) && landlock_support().abi == 0) {
    EXPECT_THAT(worked(end.said), ElementsAre("open a file", "create a file", "open a device"));
  } else {
    EXPECT_THAT(worked(end.said), IsEmpty()) << end.said;
  }
}

TEST_P(EveryRole, CanDoWhatThreadsDo) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([fd] {
      enter(GetParam());
      std::vector<std::vector<char>> blocks;  // malloc's arenas grow, and shrink
      for (int i = 0; i < 64; ++i) {
        blocks.emplace_back(100'000);
      }
      blocks.clear();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      Mutex mutex;
      Condition condition;
      MutexLock lock(mutex);
      condition.wait_until(lock, std::chrono::steady_clock::now() + std::chrono::milliseconds(1));
      try {
        throw std::runtime_error("thrown");
      } catch (const std::exception& error) {
        say(fd, error.what());
      }
    }).join();
    for (const Violation& violation : take_violations()) {
      say(fd, violation.text());
    }
  });
  EXPECT_TRUE(end.ended_well());
  EXPECT_EQ(end.said, "thrown");
}

INSTANTIATE_TEST_SUITE_P(Roles, EveryRole, testing::ValuesIn(kAllRoles),
                         [](const auto& role) { return std::string(to_string(role.param)); });

TEST(Roles, AForbiddenCallIsToldWithRoleCallAndNumber) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([] {
      ::pthread_setname_np(::pthread_self(), "vcpu-7");
      enter(ThreadRole::kVcpu);
      ::syscall(SYS_socket, 2, 1, 0);
    }).join();
    pollfd event{.fd = violation_event(), .events = POLLIN, .revents = 0};
    say(fd, fmt::format("{} ", ::poll(&event, 1, 0)));
    for (const Violation& violation : take_violations()) {
      say(fd, violation.text());
    }
    say(fd, fmt::format(" {}", take_violations().size()));
  });
  EXPECT_THAT(end.said, HasSubstr("1 Thread vcpu-7 (role vcpu) made the forbidden system call "
                                  "socket (41), second argument 0x1"));
  EXPECT_TRUE(end.said.ends_with(" 0")) << end.said;
}

/// Its name may be what a guest wrote there.
TEST(Roles, AForbiddenCallIsOneLine) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([] {
      ::pthread_setname_np(::pthread_self(), "a\nb");
      enter(ThreadRole::kVcpu);
      ::syscall(SYS_socket, 2, 1, 0);
    }).join();
    for (const Violation& violation : take_violations()) {
      say(fd, violation.text());
    }
  });
  EXPECT_THAT(end.said, HasSubstr("Thread a\\nb (role vcpu)"));
  EXPECT_THAT(end.said, Not(HasSubstr("\n")));
}

TEST(Roles, TheHandlerWritesALine) {
  const auto end = in_child([](int fd) {
    ::dup2(fd, STDERR_FILENO);
    Policy policy = policy_of(Mode::kOn);
    policy.writes_line = true;
    if (!prepare(policy)) {
      return;
    }
    std::thread([] {
      ::pthread_setname_np(::pthread_self(), "disk-0");
      enter(ThreadRole::kQueue);
      ::syscall(SYS_socket, 2, 1, 0);
    }).join();
  });
  EXPECT_THAT(end.said, HasSubstr("gpuvm: error: thread disk-0 (role queue) made the forbidden "
                                  "system call socket (41)\n"));
}

/// Many violations fill their places, and no more.
TEST(Roles, AFloodOfForbiddenCallsIsBounded) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([] {
      enter(ThreadRole::kVcpu);
      for (int i = 0; i < 1000; ++i) {
        ::syscall(SYS_socket, 2, 1, 0);
      }
    }).join();
    say(fd, std::to_string(take_violations().size()));
  });
  EXPECT_EQ(end.said, "16");
}

TEST(Roles, AThreadWithBlockedSignalsIsHeardAllTheSame) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([] {
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
      enter(ThreadRole::kReader);
      ::syscall(SYS_socket, 2, 1, 0);
    }).join();
    say(fd, std::to_string(take_violations().size()));
  });
  EXPECT_EQ(end.said, "1");
}

/// A thread that blocks SIGSYS itself ends the process: it cannot have the call.
TEST(Roles, AThreadThatHidesFromTheHandlerEndsTheProcess) {
  const auto end = in_child([](int) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([] {
      enter(ThreadRole::kVcpu);
      sigset_t all;
      ::sigfillset(&all);
      ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
      ::syscall(SYS_socket, 2, 1, 0);
    }).join();
  });
  EXPECT_TRUE(WIFSIGNALED(end.status));
}

/// Nobody else can make the handler believe in a forbidden call.
TEST(Roles, ASignalThatIsSentIsNoForbiddenCall) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    ::raise(SIGSYS);
    say(fd, std::to_string(take_violations().size()));
  });
  EXPECT_EQ(end.said, "0");
}

// They are made on several threads where the process may have them.
TEST(Roles, FiltersAreMadeOnOneThreadToo) {
  const auto end = in_child([](int fd) {
    bool is_prepared = false;
    {
      const test::NoMoreThreads none;
      is_prepared = prepare(policy_of(Mode::kOn)).has_value();
    }
    for (const ThreadRole role : kAllRoles) {
      std::thread([&] {
        enter(role);
        errno = 0;
        const bool is_refused = ::syscall(SYS_socket, 2, 1, 0) == -1 && errno == EPERM;
        say(fd, is_prepared && is_refused ? "refused " : "made ");
      }).join();
    }
  });
  EXPECT_TRUE(end.ended_well());
  std::string all;
  for (std::size_t i = 0; i < kAllRoles.size(); ++i) {
    all += "refused ";
  }
  EXPECT_EQ(end.said, all);
}

TEST(Roles, AThreadHasOneRole) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([] {
      enter(ThreadRole::kVcpu);
      enter(ThreadRole::kVcpu);
      enter(ThreadRole::kWorker);
    }).join();
    const auto told = take_violations();
    say(fd, fmt::format("{} {}", told.size(), told.empty() ? "" : told.front().text()));
  });
  EXPECT_THAT(end.said, HasSubstr("1 Thread"));
  EXPECT_THAT(end.said, HasSubstr("cannot take on the sandbox's role worker"));
}

/// What a reset of several sets does: threads of the worker, which have its filter.
TEST(Roles, AWorkerMakesThreadsThatAreConfinedAsItIs) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn))) {
      return;
    }
    std::thread([fd] {
      enter(ThreadRole::kWorker);
      std::thread([fd] { say(fd, std::to_string(::syscall(SYS_socket, 2, 1, 0))); }).join();
    }).join();
    say(fd, fmt::format(" {}", take_violations().size()));
  });
  EXPECT_EQ(end.said, "-1 1");
}

/// Until the owner has it: a child that writes to sysfs.
TEST(Roles, AWorkerWithoutAnOwnerMakesChildren) {
  const auto end = in_child([](int fd) {
    if (!prepare(policy_of(Mode::kOn, false))) {
      return;
    }
    std::thread([fd] {
      enter(ThreadRole::kWorker);
      const pid_t child = ::fork();
      if (child == 0) {
        say(fd, "child ");
        ::_exit(3);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      say(fd, std::to_string(WEXITSTATUS(status)));
    }).join();
    say(fd, fmt::format(" {}", take_violations().size()));
  });
  EXPECT_EQ(end.said, "child 3 0");
}

TEST(Roles, LayersAreTold) {
  const auto end = in_child([](int fd) {
    if (prepare(policy_of(Mode::kOn, false))) {
      say(fd, confine_all().text());
    }
  });
  EXPECT_THAT(end.said, HasSubstr("seccomp (12 roles), no_new_privs, capabilities"));
  EXPECT_THAT(end.said, HasSubstr("root (this process gives devices and files back itself)"));
  EXPECT_EQ(confine_all().text(), "none; not: seccomp (sandbox.mode is \"off\")");
}

TEST(Roles, AnOwnerIsALayerWithItsReason) {
  for (const Mode mode : {Mode::kOn, Mode::kLog}) {
    for (const bool has_owner : {false, true}) {
      const auto end = in_child([&](int fd) {
        Policy policy = policy_of(mode, has_owner);
        policy.why_owner = "made up";
        if (prepare(policy)) {
          say(fd, confine_all().text());
        }
      });
      const auto not_in_force = end.said.find("; not: ");
      const auto told = end.said.find("owner (made up)");
      ASSERT_NE(told, std::string::npos) << end.said;
      EXPECT_EQ(told < not_in_force, has_owner) << end.said;
    }
  }
}

}  // namespace
}  // namespace gpuvm::sandbox::roles_test
