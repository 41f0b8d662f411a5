// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/confine.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <thread>

#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/sandbox/empty_root.hpp"

namespace gpuvm::sandbox::confine_test {
namespace {

using testing::HasSubstr;

bool is_root() {
  return ::geteuid() == 0;
}

int error_of_open(const char* path, int flags) {
  const int fd = ::open(path, flags, 0600);
  const int error = fd < 0 ? errno : 0;
  if (fd >= 0) {
    ::close(fd);
  }
  return error;
}

/// Layers, and what opening a file says afterwards.
std::string enter_and_open(const Plan& plan) {
  return in_child([&plan](int fd) {
           const auto made = Confinement::create(plan);
           if (!made) {
             say(fd, made.error().to_string());
             return;
           }
           const int error = made->enter();
           say(fd, fmt::format("{} {}|{} {}", error, made->layers().text(),
                               error_of_open("/etc/passwd", O_RDONLY), ::getuid()));
         })
      .said;
}

TEST(Confinement, LeavesTheTreeBehind) {
  Plan plan;
  plan.empty_root = true;
  const auto said = enter_and_open(plan);
  EXPECT_THAT(said, HasSubstr("0 no_new_privs"));
  EXPECT_THAT(said, HasSubstr(is_root() ? "root (an empty folder)" : "not: root (not root)"));
  const bool has_layer = is_root() || landlock_support().abi > 0;
  EXPECT_EQ(said.find("|0 ") != said.npos, !has_layer) << said;
}

TEST(Confinement, BecomesAnotherUser) {
  Plan plan;
  plan.identity.emplace();
  plan.identity->user = 65534;
  plan.identity->group = 65534;
  const auto said = enter_and_open(plan);
  if (is_root()) {
    EXPECT_THAT(said, HasSubstr("user (65534, group 65534)"));
    EXPECT_TRUE(said.ends_with(" 65534")) << said;
  } else {
    EXPECT_THAT(said, HasSubstr("user (not root: the user stays)"));
  }
}

/// Else memory cannot be locked for devices, nor programs of other users be ended.
TEST(Confinement, AnotherUserKeepsTheCapabilitiesOfItsPlanAndNoOthers) {
  if (!is_root()) {
    GTEST_SKIP() << "needs root";
  }
  const auto end = in_child([](int fd) {
    Plan plan;
    plan.identity.emplace();
    plan.identity->user = 65534;
    plan.identity->group = 65534;
    plan.kept = own_capabilities() & capability(CAP_KILL);
    const auto made = Confinement::create(plan);
    const int error = made ? made->enter() : -1;
    say(fd, fmt::format("{} {} {} {}", error, ::getuid(), own_capabilities() == plan.kept,
                        ::prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0)));
  });
  EXPECT_EQ(end.said, "0 65534 true 0");
}

/// With fs.suid_dumpable = 2, as of systemd-coredump, the kernel makes it so otherwise.
TEST(Confinement, AnotherUserIsDumpedAsLittle) {
  if (!is_root()) {
    GTEST_SKIP() << "needs root";
  }
  const auto end = in_child([](int fd) {
    Plan plan;
    plan.identity.emplace();
    plan.identity->user = 65534;
    plan.identity->group = 65534;
    const auto made = Confinement::create(plan);
    const int error = made ? made->enter() : -1;
    say(fd, fmt::format("{} {}", error, ::prctl(PR_GET_DUMPABLE)));
  });
  EXPECT_EQ(end.said, "0 0");
}

TEST(Confinement, KeepsThePathsOfItsPlan) {
  Plan plan;
  plan.kept = ~Capabilities{0};
  plan.paths = {{.path = "/etc", .access = PathAccess::kRead}};
  EXPECT_THAT(enter_and_open(plan), HasSubstr("|0 "));
}

/// Threads that are there already keep what they had.
TEST(Confinement, IsTheCallingThreadsAlone) {
  const auto end = in_child([](int fd) {
    Plan plan;
    plan.empty_root = true;
    const auto made = Confinement::create(plan);
    std::thread([&made] { static_cast<void>(made->enter()); }).join();
    say(fd, std::to_string(error_of_open("/etc/passwd", O_RDONLY)));
  });
  EXPECT_EQ(end.said, "0");
}

TEST(Confinement, OfTheWholeProcess) {
  const auto end = in_child([](int fd) {
    Layers layers;
    layers.all = confine_process();
    say(fd, layers.text());
  });
  EXPECT_THAT(end.said, HasSubstr("dumpable (no ptrace"));
  EXPECT_THAT(end.said, testing::Not(HasSubstr("not:")));
}

TEST(EmptyRoot, HasNothing) {
  if (!is_root()) {
    GTEST_SKIP() << "needs root";
  }
  const auto end = in_child([](int fd) {
    const int held = ::open("/etc/passwd", O_RDONLY);
    const int error = enter_empty_root();
    char byte = 0;
    say(fd, fmt::format("{} {} {} {} {}", error, error_of_open("/etc/passwd", O_RDONLY) == ENOENT,
                        error_of_open("/new", O_CREAT | O_WRONLY) != 0,
                        error_of_open("/..", O_RDONLY | O_DIRECTORY), ::read(held, &byte, 1)));
  });
  EXPECT_EQ(end.said, "0 true true 0 1");
}

TEST(Landlock, SaysWhatTheKernelHas) {
  const auto support = landlock_support();
  EXPECT_EQ(support.abi == 0, !support.why_not.empty());
}

TEST(Landlock, LeavesWhatTheRulesSay) {
  if (landlock_support().abi == 0) {
    GTEST_SKIP() << landlock_support().why_not;
  }
  const auto end = in_child([](int fd) {
    const std::vector<PathRule> rules{{.path = "/etc", .access = PathAccess::kRead},
                                      {.path = "/nowhere/at/all", .access = PathAccess::kManage},
                                      {.path = "/dev/null", .access = PathAccess::kWrite}};
    const auto made = LandlockRules::create(rules);
    const int error = made ? made->restrict_self() : -1;
    say(fd, fmt::format("{} {} {} {} {}", error, error_of_open("/etc/passwd", O_RDONLY),
                        error_of_open("/dev/null", O_RDWR), error_of_open("/dev/zero", O_RDONLY),
                        error_of_open("/tmp/gpuvm-landlock", O_CREAT | O_WRONLY)));
  });
  EXPECT_EQ(end.said, fmt::format("0 0 0 {} {}", EACCES, EACCES));
}

TEST(Layers, AreTold) {
  Layers layers;
  layers.all = {{.name = "seccomp", .in_force = true, .detail = "12 roles"},
                {.name = "dumpable", .in_force = true, .detail = ""},
                {.name = "user", .in_force = false, .detail = "not root"}};
  EXPECT_EQ(layers.text(), "seccomp (12 roles), dumpable; not: user (not root)");
  InspectNode node("sandbox");
  layers.inspect(node);
  EXPECT_THAT(node.to_json(), HasSubstr("\"in_force\""));
}

}  // namespace
}  // namespace gpuvm::sandbox::confine_test
