// SPDX-License-Identifier: Apache-2.0
// What no list may let pass, whatever else changes.
#include "vmm/sandbox/roles/role_tables.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>

#include "vmm/sandbox/roles/ioctl_numbers.hpp"

namespace gpuvm::sandbox::role_tables_test {
namespace {

TEST(RoleTables, EveryRowHasAReasonAndANameOfItsOwn) {
  for (const ThreadRole role : kAllRoles) {
    for (const bool has_owner : {false, true}) {
      const auto rows = all_rows(role, has_owner);
      EXPECT_LE(rows.size(), 160U);
      for (const Row& row : rows) {
        EXPECT_GE(row.number, 0);
        EXPECT_NE(std::string(row.reason), "") << row.name;
        EXPECT_FALSE(has_owner && row.use == Use::kUntilOwner) << row.name;
      }
    }
  }
}

/// Whether a list lets the call pass.
bool allows(ThreadRole role, long call, std::array<std::uint64_t, 6> arguments) {
  const auto rows = all_rows(role, false);
  return std::any_of(rows.begin(), rows.end(), [&](const Row& row) {
    return row.action == RowAction::kAllow && row.matches(call, arguments);
  });
}

/// Where root runs all in one process a thread is of one user with much of the host.
TEST(RoleTables, CallsThatReachOtherProcessesAreBound) {
  constexpr std::uint64_t kOther = 1;  // a process
  EXPECT_FALSE(allows(ThreadRole::kWorker, SYS_kill, {kOther, SIGKILL}));
  EXPECT_FALSE(allows(ThreadRole::kWatcher, SYS_prlimit64, {kOther, RLIMIT_NOFILE}));
  EXPECT_TRUE(allows(ThreadRole::kWatcher, SYS_prlimit64, {kOther, RLIMIT_FSIZE}));
  EXPECT_FALSE(allows(ThreadRole::kVcpu, SYS_sched_setscheduler, {kOther, SCHED_IDLE}));
  EXPECT_FALSE(allows(ThreadRole::kVcpu, SYS_sched_setscheduler, {kOther, SCHED_OTHER}));
  EXPECT_FALSE(allows(ThreadRole::kMemory, SYS_sched_setscheduler, {kOther, SCHED_IDLE}));
  EXPECT_TRUE(allows(ThreadRole::kMemory, SYS_sched_setscheduler, {0, SCHED_IDLE}));
  // "memory-hurry", which makes others of this process hurry.
  EXPECT_TRUE(allows(ThreadRole::kMemory, SYS_sched_setscheduler, {kOther, SCHED_OTHER}));
  EXPECT_FALSE(allows(ThreadRole::kMemory, SYS_sched_setaffinity, {kOther}));
  EXPECT_TRUE(allows(ThreadRole::kMemory, SYS_sched_setaffinity, {0}));
  // Of a guest on NUMA nodes whose first card comes while it runs.
  EXPECT_FALSE(allows(ThreadRole::kWorker, SYS_sched_setaffinity, {kOther}));
  EXPECT_TRUE(allows(ThreadRole::kWorker, SYS_sched_setaffinity, {0}));
}

/// A card that is detached is heard no more by the thread that hears it; it starts nothing.
TEST(RoleTables, TheControlThreadOfVfioOnlyLetsGo) {
  EXPECT_TRUE(allows(ThreadRole::kControl, SYS_ioctl, {0, request::kVfioSetIrqs}));
  EXPECT_FALSE(allows(ThreadRole::kControl, SYS_ioctl, {0, request::kVfioMapDma}));
  EXPECT_FALSE(allows(ThreadRole::kControl, SYS_ioctl, {0, request::kVfioReset}));
}

/// One that stops itself keeps its guest from ending; SIGKILL would say nothing of why.
TEST(RoleTables, OfSignalsAThreadHasTheKickAndAbortAlone) {
  EXPECT_EQ(static_cast<int>(kKickSignal), SIGRTMIN);
  const auto own = static_cast<std::uint64_t>(::getpid());
  for (const ThreadRole role : kAllRoles) {
    for (int signal = 1; signal <= SIGRTMAX; ++signal) {
      EXPECT_EQ(allows(role, SYS_tgkill, {own, 1, static_cast<std::uint64_t>(signal)}),
                signal == SIGRTMIN || signal == SIGABRT)
          << to_string(role) << " " << signal;
    }
    EXPECT_FALSE(allows(role, SYS_tgkill, {own + 1, 1, SIGABRT}));
  }
}

TEST(RoleTables, OfSocketsOnlyWhatAllHaveIsSet) {
  EXPECT_TRUE(allows(ThreadRole::kControl, SYS_setsockopt, {0, SOL_SOCKET, SO_RCVBUF}));
  EXPECT_FALSE(allows(ThreadRole::kControl, SYS_setsockopt, {0, IPPROTO_IP, 64}));
}

/// F_SETOWN and F_SETSIG have the kernel send any signal to any process of the same user.
TEST(RoleTables, NoDescriptorIsMadeToSendSignals) {
  for (const ThreadRole role : kAllRoles) {
    for (const int request : {F_SETOWN, F_SETOWN_EX, F_SETSIG, F_SETLEASE, F_NOTIFY}) {
      EXPECT_FALSE(allows(role, SYS_fcntl, {0, static_cast<std::uint64_t>(request)}))
          << to_string(role) << " " << request;
    }
  }
  for (const int request : {F_GETFL, F_SETFD, F_DUPFD_CLOEXEC, F_OFD_SETLK, F_GET_SEALS}) {
    EXPECT_TRUE(allows(ThreadRole::kWorker, SYS_fcntl, {0, static_cast<std::uint64_t>(request)}))
        << request;
  }
  EXPECT_TRUE(allows(ThreadRole::kVariables, SYS_fcntl, {0, F_OFD_SETLK}));
}

/// No list has what makes the others worth nothing, whoever owns the files.
TEST(RoleTables, NoRoleHasTheseCalls) {
  for (const ThreadRole role : kAllRoles) {
    for (const Row& row : all_rows(role, false)) {
      for (const long forbidden : {SYS_socket,
                                   SYS_connect,
                                   SYS_bind,
                                   SYS_ptrace,
                                   SYS_unshare,
                                   SYS_setns,
                                   SYS_execve,
                                   SYS_execveat,
                                   SYS_io_uring_setup,
                                   SYS_io_uring_register,
                                   SYS_prctl,
                                   SYS_rt_sigaction,
                                   SYS_personality,
                                   SYS_bpf,
                                   SYS_userfaultfd,
                                   SYS_keyctl,
                                   SYS_process_vm_writev,
                                   SYS_pidfd_getfd,
                                   SYS_init_module,
                                   SYS_mount,
                                   SYS_chroot,
                                   SYS_setuid,
                                   SYS_capset,
                                   SYS_shmat,
                                   SYS_pkey_mprotect}) {
        EXPECT_NE(row.number, forbidden) << to_string(role) << " " << row.name;
      }
    }
  }
}

}  // namespace
}  // namespace gpuvm::sandbox::role_tables_test
