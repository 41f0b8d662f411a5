// SPDX-License-Identifier: Apache-2.0
// Programs that must not run less confined than their profile wants, nor longer than who started
// them.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <fstream>
#include <optional>
#include <vector>

#include "tests/unit/vmm/helper/script_folder.hpp"
#include "vmm/helper/child_process.hpp"
#include "vmm/helper/confinement.hpp"

namespace gpuvm::confinement_strict_test {
namespace {

constexpr std::chrono::milliseconds kLong{30000};

/// A host that refuses `call` where its first argument is `first`, or whatever it is.
sandbox::Filter refuses(unsigned call, std::optional<unsigned> first) {
  std::vector<sock_filter> code;
  const auto add = [&code](unsigned short what, unsigned value, unsigned char if_not) {
    code.push_back({.code = what, .jt = 0, .jf = if_not, .k = value});
  };
  const unsigned char rest = first ? 3 : 1;
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr), 0);
  add(BPF_JMP | BPF_JEQ | BPF_K, call, rest);
  if (first) {
    add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args), 0);
    add(BPF_JMP | BPF_JEQ | BPF_K, *first, 1);
  }
  add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM, 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0);
  return sandbox::Filter(std::move(code));
}

/// 0: it was refused, 1: it ran; in a process of its own, whose filter nobody takes away again.
int outcome_of_start(const HelperProfile& profile, const sandbox::Filter* host) {
  const test::ScriptFolder folder;
  const std::string path = folder.script("exit 0\n");
  ::chmod(folder.path().c_str(), 0755);
  ::chmod(path.c_str(), 0755);
  const pid_t child = ::fork();
  if (child == 0) {
    if (host != nullptr && host->install() != 0) {
      ::_exit(2);
    }
    Program program{.path = path, .arguments = {"it"}};
    program.confinement = HelperConfinement{.profile = &profile};
    const auto end = run_program(program, kLong);
    ::_exit(end ? 1 : 0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(StrictConfinementTest, WithoutItsFilterNoProgramStarts) {
  const auto host = refuses(SYS_seccomp, SECCOMP_SET_MODE_FILTER);
  for (const auto* const profile :
       {&storage_daemon_profile(), &virtiofsd_profile(), &passt_profile()}) {
    EXPECT_EQ(outcome_of_start(*profile, nullptr), 1) << profile->name;
    EXPECT_EQ(outcome_of_start(*profile, &host), 0) << profile->name;
  }
}

TEST(StrictConfinementTest, WithCapabilitiesThatStayNoProgramStarts) {
  const auto host = refuses(SYS_capset, std::nullopt);
  EXPECT_EQ(outcome_of_start(virtiofsd_profile(), &host), 0);
  EXPECT_EQ(outcome_of_start(storage_daemon_profile(), &host), 0);
}

bool comes(int fd, std::chrono::milliseconds limit) {
  pollfd waits{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&waits, 1, static_cast<int>(limit.count())) == 1;
}

// The process of virtiofsd that serves is a child of the one that gpuvm starts, and minds nothing.
TEST(StrictConfinementTest, AServersOwnChildGoesWithIt) {
  constexpr auto kNeeded = sandbox::capability(CAP_SYS_ADMIN) | sandbox::capability(CAP_SETPCAP);
  if (::geteuid() != 0 || (sandbox::own_capabilities() & kNeeded) != kNeeded) {
    GTEST_SKIP() << "only root has process namespaces to give";
  }
  const test::ScriptFolder folder;
  const std::string path = folder.path() + "/program";
  std::ofstream(path) << "#!/usr/bin/perl\nif (fork == 0) { $SIG{TERM} = 'IGNORE'; "
                         "open(OUT, '>&=', 3); syswrite(OUT, 'x'); }\nsleep 60;\n";
  ::chmod(path.c_str(), 0755);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd heard(ends[0]);
  UniqueFd held(ends[1]);
  Program program{.path = path, .arguments = {"it"}};
  program.files = {held.get()};
  program.confinement = HelperConfinement{.profile = &virtiofsd_profile()};
  auto child = ChildProcess::start({.program = std::move(program)});
  ASSERT_TRUE(child) << child.error().to_string();
  held.reset();
  char byte = 0;
  ASSERT_TRUE(comes(heard.get(), kLong));
  ASSERT_EQ(::read(heard.get(), &byte, 1), 1);
  (*child)->kill();
  EXPECT_TRUE((*child)->wait_for_end(kLong));
  EXPECT_TRUE(comes(heard.get(), std::chrono::seconds(10))) << "its child still has the file";
}

}  // namespace
}  // namespace gpuvm::confinement_strict_test
