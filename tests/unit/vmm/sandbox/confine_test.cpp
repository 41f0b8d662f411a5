// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/confine.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
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

TEST(Confine, AMonitorOfAnOwnerHasNoFiles) {
  const auto end = in_child([](int fd) {
    Plan plan;
    plan.has_owner = true;
    const auto layers = confine(plan);
    if (!layers) {
      say(fd, layers.error().to_string());
      return;
    }
    say(fd, layers->text() + fmt::format("|{}", error_of_open("/etc/passwd", O_RDONLY)));
  });
  EXPECT_THAT(end.said, HasSubstr("no_new_privs"));
  EXPECT_THAT(end.said, HasSubstr("dumpable"));
  const bool has_layer = is_root() || landlock_support().abi > 0;
  EXPECT_EQ(end.said.ends_with("|0"), !has_layer) << end.said;
}

TEST(Confine, OfAnotherUser) {
  if (!is_root()) {
    GTEST_SKIP() << "needs root";
  }
  const auto end = in_child([](int fd) {
    Plan plan;
    plan.has_owner = true;
    plan.identity.emplace();
    plan.identity->user = 65534;
    plan.identity->group = 65534;
    const auto layers = confine(plan);
    say(fd, layers ? layers->text() + fmt::format("|{}", ::getuid()) : layers.error().to_string());
  });
  EXPECT_THAT(end.said, HasSubstr("user (65534, group 65534)"));
  EXPECT_THAT(end.said, HasSubstr("capabilities (none)"));
  EXPECT_TRUE(end.said.ends_with("|65534")) << end.said;
}

TEST(Confine, WithoutAnOwnerSaysWhatItKeeps) {
  const auto end = in_child([](int fd) {
    Plan plan;
    plan.kept = ~Capabilities{0};
    plan.paths = {{.path = "/etc", .access = PathAccess::kRead}};
    const auto layers = confine(plan);
    say(fd, layers ? layers->text() + fmt::format("|{}", error_of_open("/etc/passwd", O_RDONLY))
                   : layers.error().to_string());
  });
  EXPECT_THAT(end.said, HasSubstr("not: root (this process gives devices and files back itself)"));
  EXPECT_TRUE(end.said.ends_with("|0")) << end.said;
}

TEST(Confine, AMonitorWithOtherThreadsIsRefused) {
  const auto end = in_child([](int fd) {
    std::atomic<bool> over{false};
    std::thread other([&over] {
      while (!over) {
        ::usleep(1000);
      }
    });
    Plan plan;
    plan.has_owner = true;
    const auto layers = confine(plan);
    over = true;
    other.join();
    say(fd, layers ? "confined" : layers.error().to_string());
  });
  EXPECT_THAT(end.said, HasSubstr("other threads"));
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
