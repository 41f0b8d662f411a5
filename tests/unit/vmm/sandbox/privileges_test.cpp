// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/privileges.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>

#include "tests/unit/vmm/sandbox/in_child.hpp"

namespace gpuvm::sandbox::privileges_test {
namespace {

bool is_root() {
  return ::geteuid() == 0;
}

TEST(Privileges, CapabilitiesGoForGood) {
  const auto end = in_child([](int fd) {
    const int error = keep_capabilities(capability(CAP_KILL));
    const auto left = own_capabilities();
    const bool is_bound = ::prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0;
    say(fd, fmt::format("{} {:#x} {}", error, left & ~capability(CAP_KILL), is_bound));
  });
  EXPECT_EQ(end.said, is_root() ? "0 0x0 true" : end.said);
  EXPECT_THAT(end.said, testing::StartsWith("0 0x0"));
}

TEST(Privileges, NothingOfRootIsLeftToAnotherUser) {
  if (!is_root() || kHasThreadSanitizer) {
    GTEST_SKIP() << "needs root, and a process with one thread";
  }
  const auto end = in_child([](int fd) {
    Identity nobody;
    nobody.user = 65534;
    nobody.group = 65534;
    const int error = become(nobody);
    const bool goes_back = ::setuid(0) == 0 || ::setgid(0) == 0;
    say(fd, fmt::format("{} {} {} {} {:#x} {}", error, ::getuid(), ::getegid(),
                        ::getgroups(0, nullptr), own_capabilities(), goes_back));
  });
  EXPECT_EQ(end.said, "0 65534 65534 0 0x0 false");
}

TEST(Privileges, UsersByNameAndNumber) {
  const auto root = find_identity("root", "");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->user, 0U);
  const auto number = find_identity("4242", "4243");
  ASSERT_TRUE(number);
  EXPECT_EQ(number->user, 4242U);
  EXPECT_EQ(number->group, 4243U);
  const auto nobody = find_identity("no-such-user", "");
  ASSERT_FALSE(nobody);
  EXPECT_THAT(nobody.error().to_string(), testing::HasSubstr("sandbox.user"));
  const auto group = find_identity("root", "no-such-group");
  ASSERT_FALSE(group);
  EXPECT_THAT(group.error().to_string(), testing::HasSubstr("sandbox.group"));
}

TEST(Privileges, NoDumpsAndLimits) {
  const auto end = in_child([](int fd) {
    const int dumps = forbid_dumps();
    const int limits = set_limits(false);
    say(fd, fmt::format("{} {} {}", dumps, ::prctl(PR_GET_DUMPABLE), limits));
  });
  EXPECT_EQ(end.said, "0 0 0");
}

/// "A limit of 0" would: the kernel takes no notice of it where dumps go to a program.
TEST(Privileges, NoDumpGoesToAProgramEither) {
  const auto end = in_child([](int fd) {
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    const bool may_raise = (own_capabilities() & capability(CAP_SYS_RESOURCE)) != 0;
    const bool has_room = core.rlim_max > 0 || may_raise;
    const int error = set_limits(false);
    ::getrlimit(RLIMIT_CORE, &core);
    say(fd, fmt::format("{} {}", error,
                        core.rlim_cur == core.rlim_max && core.rlim_max == (has_room ? 1 : 0)));
  });
  EXPECT_EQ(end.said, "0 true");
}

TEST(Privileges, ALowerLimitStays) {
  const auto end = in_child([](int fd) {
    const rlimit none{.rlim_cur = 0, .rlim_max = 0};
    ::setrlimit(RLIMIT_CORE, &none);
    static_cast<void>(keep_capabilities(0));
    const int error = set_limits(false);
    rlimit core{};
    ::getrlimit(RLIMIT_CORE, &core);
    say(fd, fmt::format("{} {}", error, core.rlim_max));
  });
  EXPECT_EQ(end.said, "0 0");
}

TEST(Privileges, NoFurtherProcessOfAnotherUser) {
  if (!is_root()) {
    GTEST_SKIP() << "needs root";
  }
  const auto end = in_child([](int fd) {
    Identity other;
    other.user = 64999;
    other.group = 64999;
    if (set_limits(true) != 0 || become(other) != 0) {
      return;
    }
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(0);
    }
    say(fd, child < 0 && errno == EAGAIN ? "refused" : "made");
  });
  EXPECT_EQ(end.said, "refused");
}

TEST(Privileges, NoNewPrivileges) {
  const auto end = in_child([](int fd) {
    const int error = set_no_new_privileges();
    say(fd, fmt::format("{} {}", error, ::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
  });
  EXPECT_EQ(end.said, "0 1");
}

}  // namespace
}  // namespace gpuvm::sandbox::privileges_test
