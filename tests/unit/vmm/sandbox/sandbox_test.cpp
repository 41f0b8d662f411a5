// SPDX-License-Identifier: Apache-2.0
// What threads of root are left with, and what comes of those that cannot be confined.
#include "vmm/sandbox/roles/sandbox.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <string>
#include <thread>

#include "tests/unit/vmm/sandbox/in_child.hpp"

namespace gpuvm::sandbox::sandbox_test {
namespace {

using testing::HasSubstr;

Policy policy_with(bool has_owner) {
  Policy policy;
  policy.mode = Mode::kOn;
  policy.has_owner = has_owner;
  policy.writes_line = false;
  return policy;
}

/// As /proc has them of the thread, which may not ask.
std::uint64_t capabilities_of(pid_t thread) {
  std::ifstream status(fmt::format("/proc/self/task/{}/status", thread));
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) {
      return std::stoull(line.substr(7), nullptr, 16);
    }
  }
  return ~std::uint64_t{0};
}

/// Until the owner has the files: not what leads past them.
TEST(Sandbox, WhoOpensFilesOfRootKeepsNoOtherPower) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  for (const ThreadRole role : {ThreadRole::kWorker, ThreadRole::kVariables}) {
    const auto end = in_child([role](int fd) {
      if (!prepare(policy_with(false))) {
        return;
      }
      std::promise<pid_t> entered;
      std::promise<void> seen;
      std::thread thread([&entered, &seen, role] {
        const pid_t number = ::gettid();
        enter(role);
        entered.set_value(number);
        seen.get_future().wait();
      });
      const auto left = capabilities_of(entered.get_future().get());
      seen.set_value();
      thread.join();
      constexpr auto kTooMuch = capability(CAP_SYS_RAWIO) | capability(CAP_SYS_MODULE) |
                                capability(CAP_SYS_PTRACE) | capability(CAP_SETUID) |
                                capability(CAP_NET_ADMIN) | capability(CAP_KILL);
      say(fd, fmt::format("{:#x}", left & kTooMuch));
    });
    EXPECT_EQ(end.said, "0x0");
  }
}

/// The kernel asks who maps memory for devices and who ends programs of other users.
TEST(Sandbox, RolesOfAnotherUserKeepWhatTheyNeed) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const auto left_to = [](ThreadRole role) {
    return in_child([role](int fd) {
             Policy policy = policy_with(true);
             policy.identity.emplace();
             policy.identity->user = 65534;
             policy.identity->group = 65534;
             if (!prepare(policy)) {
               return;
             }
             std::promise<pid_t> entered;
             std::promise<void> seen;
             std::thread thread([&entered, &seen, role] {
               const pid_t number = ::gettid();
               enter(role);
               entered.set_value(number);
               seen.get_future().wait();
             });
             const auto left = capabilities_of(entered.get_future().get());
             seen.set_value();
             thread.join();
             say(fd, fmt::format("{:#x}", left));
           })
        .said;
  };
  EXPECT_EQ(left_to(ThreadRole::kVcpu), "0x0");
  EXPECT_EQ(left_to(ThreadRole::kWorker), "0x0");
  const auto mine = own_capabilities();
  EXPECT_EQ(left_to(ThreadRole::kMemory),
            fmt::format("{:#x}", mine & (capability(CAP_IPC_LOCK) | capability(CAP_SYS_NICE))));
  EXPECT_EQ(left_to(ThreadRole::kWatcher),
            fmt::format("{:#x}", mine & (capability(CAP_KILL) | capability(CAP_SYS_RESOURCE))));
}

/// By it a monitor ends with its owner: one thread that keeps it is enough.
TEST(Sandbox, AThreadThatBecomesAnotherUserLeavesTheOthersTheirDeathSignal) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const auto end = in_child([](int fd) {
    Policy policy = policy_with(true);
    policy.identity.emplace();
    policy.identity->user = 65534;
    policy.identity->group = 65534;
    if (!prepare(policy) || ::prctl(PR_SET_PDEATHSIG, SIGTERM) != 0) {
      return;
    }
    std::thread([] { enter(ThreadRole::kVcpu); }).join();
    int left = 0;
    ::prctl(PR_GET_PDEATHSIG, &left);
    say(fd, fmt::format("{} {}", left == SIGTERM, ::getuid()));
  });
  EXPECT_EQ(end.said, "true 0");
}

/// The guest is ended, and until then the thread goes on.
TEST(Sandbox, WhoCannotBeConfinedHasItsFilterAllTheSame) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  const auto end = in_child([](int fd) {
    Policy policy = policy_with(true);
    policy.identity.emplace();
    policy.identity->groups = {static_cast<gid_t>(-1)};  // which no group has
    if (!prepare(policy)) {
      return;
    }
    std::thread([fd] {
      enter(ThreadRole::kVcpu);
      say(fd, fmt::format("{} ", ::syscall(SYS_socket, 2, 1, 0)));
    }).join();
    for (const Violation& violation : take_violations()) {
      say(fd, violation.text());
    }
  });
  EXPECT_THAT(end.said, testing::StartsWith("-1 "));
  EXPECT_THAT(end.said, HasSubstr("cannot take on the sandbox's role vcpu"));
}

}  // namespace
}  // namespace gpuvm::sandbox::sandbox_test
