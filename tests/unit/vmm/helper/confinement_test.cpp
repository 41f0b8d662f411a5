// SPDX-License-Identifier: Apache-2.0
// What a program that turns hostile can do: a script tries it, confined and not. What is refused to
// it must have worked without.
#include "vmm/helper/confinement.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tests/unit/vmm/helper/script_folder.hpp"
#include "vmm/helper/child_process.hpp"

namespace gpuvm::confinement_test {
namespace {

using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::chrono::milliseconds kLong{30000};

/// Says of each thing that it tries whether it worked. Numbers are those of x86-64's calls.
constexpr const char* kPayload = R"(#!/usr/bin/perl
use Socket;
my ($secret, $own, $parent) = @ARGV;
sub said { print STDERR "$_[0]: ", ($_[1] ? "done" : "refused"), "\n"; }
said("another file", open(my $a, "<", $secret));
said("its own file", open(my $b, "<", "$own/file"));
said("a new file of its own", open(my $c, ">", "$own/new"));
said("a socket", socket(my $d, AF_INET, SOCK_STREAM, 0));
said("a signal", kill(0, $parent));
said("ptrace", syscall(101, 1, $$, 0, 0) == -1 && $! == 3);  # ESRCH: nobody traces it
said("its memory from outside", syscall(310, $$, 0, 0, 0, 0, 0) == 0);
said("executable memory", syscall(9, 0, 4096, 7, 0x22, -1, 0) != -1);
said("memory made executable", syscall(10, syscall(9, 0, 4096, 3, 0x22, -1, 0), 4096, 5) == 0);
said("keys", syscall(250, 0, -3, 1, 0, 0) != -1);
said("a namespace", syscall(272, 0x10000000) == 0);
print STDERR "secret: ", $ENV{GPUVM_TEST_SECRET} // "none", "\n";
my $child = fork;
exit 0 if defined $child && $child == 0;
said("a process", defined $child);
exec("/bin/sh", "-c", "echo 'a program: done' >&2");
said("a program", 0);
)";
constexpr std::array kForbidden = {"another file",
                                   "ptrace",
                                   "its memory from outside",
                                   "executable memory",
                                   "memory made executable",
                                   "keys",
                                   "a program"};
/// Forbidden by an allow list alone.
constexpr std::array kNotListed = {"a socket", "a signal", "a namespace", "a process"};

/// Whether namespaces and other users are to be had: not without root, nor in most containers.
bool is_mighty() {
  constexpr auto kNeeded = sandbox::capability(CAP_SYS_ADMIN) | sandbox::capability(CAP_SETUID) |
                           sandbox::capability(CAP_SETGID) | sandbox::capability(CAP_SETPCAP);
  return ::geteuid() == 0 && (sandbox::own_capabilities() & kNeeded) == kNeeded;
}

/// Folders that others than root may enter: one with the script, one that is its own, one that is
/// not.
class HelperConfinementTest : public ::testing::Test {
 protected:
  HelperConfinementTest() {
    for (const auto* const folder : {&scripts_, &own_, &others_}) {
      ::chmod(folder->path().c_str(), 0777);
    }
    write(own_.path() + "/file", "own", 0644);
    write(others_.path() + "/secret", "secret", 0644);
    write(scripts_.path() + "/program", kPayload, 0755);
  }
  static void write(const std::string& path, const std::string& text, mode_t mode) {
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
  }
  HelperConfinement confinement(const HelperProfile& profile) const {
    return {.profile = &profile,
            .paths = {{.path = own_.path(), .access = sandbox::PathAccess::kManage}}};
  }
  Program program(std::optional<HelperConfinement> confinement) const {
    Program program{.path = scripts_.path() + "/program", .arguments = {}};
    program.arguments = {"it", others_.path() + "/secret", own_.path(), std::to_string(::getpid())};
    program.confinement = std::move(confinement);
    return program;
  }
  ProgramEnd run(std::optional<HelperConfinement> confinement) const {
    auto end = run_program(program(std::move(confinement)), kLong);
    EXPECT_TRUE(end) << end.error().to_string();
    return end ? std::move(*end) : ProgramEnd{};
  }
  static std::string file(const std::string& path) {
    std::ifstream stream(path);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  test::ScriptFolder scripts_;
  test::ScriptFolder own_;
  test::ScriptFolder others_;
};

TEST_F(HelperConfinementTest, WhatIsForbiddenWorksWithoutConfinement) {
  ::setenv("GPUVM_TEST_SECRET", "token", 1);
  const auto end = run({});
  ::unsetenv("GPUVM_TEST_SECRET");
  for (const std::string what : kForbidden) {
    EXPECT_THAT(end.text, HasSubstr(what + ": done"));
  }
  for (const std::string what : kNotListed) {
    EXPECT_THAT(end.text, HasSubstr(what + ": done"));
  }
  EXPECT_THAT(end.text, HasSubstr("secret: token"));
  EXPECT_TRUE(end.layers.all.empty());
}

// The allow list of the storage daemon is enough for a script.
TEST_F(HelperConfinementTest, OneWithAnAllowListReachesItsOwnAlone) {
  ::setenv("GPUVM_TEST_SECRET", "token", 1);
  const auto end = run(confinement(storage_daemon_profile()));
  ::unsetenv("GPUVM_TEST_SECRET");
  for (const std::string what : kForbidden) {
    EXPECT_THAT(end.text, HasSubstr(what + ": refused"));
  }
  for (const std::string what : kNotListed) {
    EXPECT_THAT(end.text, HasSubstr(what + ": refused"));
  }
  EXPECT_THAT(end.text, HasSubstr("its own file: done"));
  EXPECT_THAT(end.text, HasSubstr("a new file of its own: done"));
  EXPECT_THAT(end.text, HasSubstr("secret: none"));
}

// Without root there is no namespace: Landlock and the filter do it.
TEST_F(HelperConfinementTest, AnOrdinaryUserConfinesToo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0) {
      EXPECT_EQ(::setresgid(65534, 65534, 65534), 0);
      EXPECT_EQ(::setresuid(65534, 65534, 65534), 0);
    }
    const auto end = run(confinement(storage_daemon_profile()));
    const std::string text = end.text + "\n" + end.layers.text();
    [[maybe_unused]] const auto told = ::write(ends[1], text.data(), text.size());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string text(8192, '\0');
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const auto size = ::read(ends[0], text.data(), text.size());
  ::close(ends[0]);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  EXPECT_THAT(text, HasSubstr("not: files (gpuvm is not root), network namespace"));
  EXPECT_THAT(text, HasSubstr("gpuvm's own, not root"));
  if (sandbox::landlock_support().abi > 0) {
    EXPECT_THAT(text, HasSubstr("another file: refused"));
    EXPECT_THAT(text, HasSubstr("its own file: done"));
  }
  EXPECT_THAT(text, HasSubstr("a socket: refused"));
  EXPECT_THAT(text, HasSubstr("a program: refused"));
}

// virtiofsd's, as root: no allow list, so that it can make its own sandbox.
TEST_F(HelperConfinementTest, OneThatStaysRoot) {
  if (!is_mighty()) {
    GTEST_SKIP() << "only root can be confined to a tree of files";
  }
  const auto end = run(confinement(virtiofsd_profile()));
  for (const std::string what : kForbidden) {
    EXPECT_THAT(end.text, HasSubstr(what + ": refused"));
  }
  EXPECT_THAT(end.text, HasSubstr("a new file of its own: done"));
  EXPECT_THAT(end.text, HasSubstr("a namespace: done"));
}

TEST_F(HelperConfinementTest, AFolderThatMayOnlyBeRead) {
  auto only_read = confinement(storage_daemon_profile());
  only_read.paths.front().access = sandbox::PathAccess::kRead;
  const auto end = run(only_read);
  EXPECT_THAT(end.text, HasSubstr("its own file: done"));
  EXPECT_THAT(end.text, HasSubstr("a new file of its own: refused"));
}

// Without Landlock it is the mount that cannot be written to, for root neither.
TEST_F(HelperConfinementTest, AFolderThatRootMayOnlyRead) {
  if (!is_mighty()) {
    GTEST_SKIP() << "only root can be confined to a tree of files";
  }
  auto only_read = confinement(virtiofsd_profile());
  only_read.paths.front().access = sandbox::PathAccess::kRead;
  const auto end = run(only_read);
  EXPECT_THAT(end.text, HasSubstr("its own file: done"));
  EXPECT_THAT(end.text, HasSubstr("a new file of its own: refused"));
}

/// As the kernel has it, of one that waits.
struct Seen {
  std::string status;
  std::string layers;
  std::string network;
  std::string limits;
};

class SeenFromOutside : public HelperConfinementTest {
 protected:
  Seen look(const HelperConfinement& confinement) {
    write(scripts_.path() + "/program", "#!/usr/bin/perl\nsleep 1000;\n", 0755);
    Seen seen;
    auto child = ChildProcess::start({.program = program(confinement), .patience = {}});
    EXPECT_TRUE(child) << child.error().to_string();
    if (child) {
      const std::string folder = fmt::format("/proc/{}/", (*child)->pid());
      seen.status = file(folder + "status");
      seen.limits = file(folder + "limits");
      seen.network = std::filesystem::read_symlink(folder + "ns/net");
      seen.layers = (*child)->layers().text();
    }
    return seen;
  }
};

TEST_F(SeenFromOutside, NothingOfRootIsLeft) {
  const Seen seen = look(confinement(storage_daemon_profile()));
  EXPECT_THAT(seen.status, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(seen.status, HasSubstr("CapPrm:\t0000000000000000"));
  EXPECT_THAT(seen.status, HasSubstr("CapAmb:\t0000000000000000"));
  EXPECT_THAT(seen.status, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(seen.status, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(seen.limits, ContainsRegex("Max core file size +1 +1 "));
  EXPECT_THAT(seen.limits, ContainsRegex("Max open files +1024 +1024 "));
  if (is_mighty()) {
    const auto user = helper_user().value();
    EXPECT_THAT(seen.status, HasSubstr(fmt::format("Uid:\t{0}\t{0}\t{0}\t{0}\n", user.user)));
    EXPECT_THAT(seen.status, HasSubstr(fmt::format("Gid:\t{0}\t{0}\t{0}\t{0}\n", user.group)));
    EXPECT_THAT(seen.status, HasSubstr("CapBnd:\t0000000000000000"));
    EXPECT_THAT(seen.status, ContainsRegex("NSpid:\t[0-9]+\t1\n"));
    EXPECT_NE(seen.network, std::filesystem::read_symlink("/proc/self/ns/net"));
    EXPECT_THAT(seen.layers, HasSubstr("files, network namespace, ipc, host name namespace"));
  }
}

// An image that only root can open: its user gets what opens it, and no more.
TEST_F(SeenFromOutside, ACapabilityIsHandedOn) {
  if (!is_mighty()) {
    GTEST_SKIP() << "only root has capabilities to hand on";
  }
  auto wanted = confinement(storage_daemon_profile());
  wanted.capabilities = sandbox::capability(CAP_DAC_OVERRIDE) | sandbox::capability(CAP_SYS_ADMIN);
  const Seen seen = look(wanted);
  EXPECT_THAT(seen.status, HasSubstr("CapEff:\t0000000000000002")) << "not what no profile has";
  EXPECT_THAT(seen.status, HasSubstr("CapBnd:\t0000000000000002"));
  EXPECT_THAT(seen.status, Not(HasSubstr("Uid:\t0")));
  EXPECT_THAT(seen.layers, HasSubstr("capabilities (0x2)"));
}

TEST_F(SeenFromOutside, RootKeepsWhatItsProfileSays) {
  if (!is_mighty()) {
    GTEST_SKIP() << "only root stays root";
  }
  const Seen seen = look(confinement(virtiofsd_profile()));
  const auto kept = fmt::format("{:016x}", virtiofsd_profile().capabilities.value);
  EXPECT_THAT(seen.status, HasSubstr("CapEff:\t" + kept));
  EXPECT_THAT(seen.status, HasSubstr("CapBnd:\t" + kept));
  EXPECT_THAT(seen.status, ContainsRegex("Groups:\t *\n"));
}

// The change of user takes the bond away, so it has to be made anew.
TEST_F(SeenFromOutside, ItGoesWithAKilledParent) {
  write(scripts_.path() + "/program", "#!/usr/bin/perl\nsleep 1000;\n", 0755);
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    const auto child =
        ChildProcess::start({.program = program(confinement(storage_daemon_profile()))});
    const pid_t pid = child ? (*child)->pid() : -1;
    [[maybe_unused]] const auto told = ::write(ends[1], &pid, sizeof pid);
    ::pause();
    ::_exit(0);
  }
  ::close(ends[1]);
  pid_t child = -1;
  ASSERT_EQ(::read(ends[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  ::close(ends[0]);
  ASSERT_GT(child, 0);
  const UniqueFd watched(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  ASSERT_TRUE(watched);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  pollfd gone{.fd = watched.get(), .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&gone, 1, 30000), 1);
}

// It is the first process of its namespace, which no signal of its own can end, and another user's.
TEST_F(SeenFromOutside, ItCanBeKilled) {
  write(scripts_.path() + "/program", "#!/usr/bin/perl\n$SIG{TERM} = 'IGNORE';\nsleep 1000;\n",
        0755);
  auto child = ChildProcess::start({.program = program(confinement(storage_daemon_profile()))});
  ASSERT_TRUE(child) << child.error().to_string();
  (*child)->kill();
  const auto end = (*child)->wait_for_end(kLong);
  ASSERT_TRUE(end);
  EXPECT_EQ(end->to_string(), "it has ended (signal 9)");
}

TEST_F(SeenFromOutside, AnotherUser) {
  auto wanted = confinement(storage_daemon_profile());
  wanted.user = "gpuvm-has-no-such-user";
  const auto end = run_program(program(wanted), kLong);
  if (is_mighty()) {
    ASSERT_FALSE(end);
    EXPECT_THAT(end.error().to_string(), HasSubstr("gpuvm-has-no-such-user"));
    wanted.user = "4711";
    EXPECT_THAT(look(wanted).status, HasSubstr("Uid:\t4711\t"));
  }
}

// What a kernel cannot do is told, and is no failure.
TEST_F(HelperConfinementTest, WhatIsNotInForceIsTold) {
  const auto prepared = PreparedConfinement::create(confinement(storage_daemon_profile()),
                                                    scripts_.path() + "/program");
  ASSERT_TRUE(prepared) << prepared.error().to_string();
  PreparedConfinement::Outcome outcome;
  outcome[PreparedConfinement::Layer::kLandlock] = EOPNOTSUPP;
  outcome[PreparedConfinement::Layer::kUser] = PreparedConfinement::kNotWanted;
  const auto text = prepared->layers_of(outcome).text();
  EXPECT_THAT(text, HasSubstr("; not: landlock (Operation not supported)"));
  EXPECT_THAT(text, Not(HasSubstr("user")));
}

// The root itself cannot be hidden from a program whose folder it is.
TEST_F(HelperConfinementTest, AllOfTheHostIsNoTree) {
  const std::vector<sandbox::PathRule> root = {
      {.path = "/", .access = sandbox::PathAccess::kManage}};
  EXPECT_FALSE(OwnTree::create(root, false));
  const std::vector<sandbox::PathRule> back = {
      {.path = "/usr/../etc", .access = sandbox::PathAccess::kRead}};
  EXPECT_FALSE(OwnTree::create(back, false));
}

TEST_F(HelperConfinementTest, WhetherAUserCanOpenAFileAgain) {
  const std::string path = others_.path() + "/image";
  write(path, "image", 0640);
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const UniqueFd image(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  ASSERT_EQ(::fstat(image.get(), &info), 0);
  EXPECT_TRUE(can_reopen(image.get(), {.user = info.st_uid, .group = 1}, true));
  EXPECT_TRUE(can_reopen(image.get(), {.user = info.st_uid + 1, .group = info.st_gid}, false));
  EXPECT_FALSE(can_reopen(image.get(), {.user = info.st_uid + 1, .group = info.st_gid}, true));
  EXPECT_FALSE(can_reopen(image.get(), {.user = info.st_uid + 1, .group = info.st_gid + 1}, false));
  EXPECT_FALSE(can_reopen(-1, {.user = info.st_uid, .group = 1}, false));
}

// The table has no row without its reasons.
TEST(HelperProfileTest, EachDecisionSaysWhy) {
  for (const auto* const profile :
       {&storage_daemon_profile(), &virtiofsd_profile(), &passt_profile()}) {
    const auto check = [profile](const auto& item, const char* what) {
      EXPECT_STRNE(item.reason, "") << profile->name << " " << what;
      EXPECT_STRNE(item.source, "") << profile->name << " " << what;
    };
    check(profile->is_ordinary_user, "user");
    check(profile->capabilities, "capabilities");
    check(profile->namespaces, "namespaces");
    check(profile->files, "files");
    check(profile->has_landlock, "Landlock");
    check(profile->calls, "calls");
    check(profile->may_exec, "exec");
    check(profile->open_files, "open files");
    check(profile->threads, "threads");
    EXPECT_FALSE(profile->has_landlock.value && profile->files.value == FileView::kOwnTreeAndProc)
        << "Landlock forbids the mounts of a sandbox of its own";
  }
}

TEST(HelperProfileTest, AnAllowListHasNothingThatIsRefusedToAll) {
  for (const auto& row : storage_daemon_calls()) {
    EXPECT_STRNE(row.reason, "") << row.name;
    for (const auto& refused : refused_calls()) {
      EXPECT_TRUE(row.number != refused.number || row.action != sandbox::RowAction::kAllow)
          << row.name;
    }
  }
}

}  // namespace
}  // namespace gpuvm::confinement_test
