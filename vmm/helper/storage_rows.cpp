// SPDX-License-Identifier: Apache-2.0
// The system calls of qemu-storage-daemon that serves one disk by vhost-user-blk. "Seen": by
// strace(1) of Debian 12's 7.2.22 with raw, qcow2 and throwaway disks; "source": QEMU, as named.
// What is not here fails with EPERM, and with ENOSYS what programs then go on without.
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>

#include "vmm/helper/helper_profile.hpp"

namespace gpuvm {
namespace {

using sandbox::Row;

constexpr Row allow(long number, const char* name, const char* reason) {
  Row row;
  row.number = number;
  row.name = name;
  row.reason = reason;
  return row;
}
/// Where (argument & mask) == value.
constexpr Row allow_where(Row row, std::uint8_t argument, std::uint64_t mask, std::uint64_t value) {
  row.conditions[row.condition_count] = {.argument = argument, .mask = mask, .value = value};
  ++row.condition_count;
  return row;
}
constexpr Row allow_request(std::uint32_t request, const char* name, const char* reason) {
  return allow_where(allow(SYS_ioctl, name, reason), 1, 0xffffffff, request);
}
constexpr Row allow_option(std::uint32_t option, const char* name, const char* reason) {
  return allow_where(allow(SYS_prctl, name, reason), 0, 0xffffffff, option);
}
constexpr Row absent(long number, const char* name, const char* reason) {
  Row row = allow(number, name, reason);
  row.action = sandbox::RowAction::kRefuseQuietly;
  row.refusal = ENOSYS;
  return row;
}

constexpr const char* kDisk = "the disk's requests (seen; source: block/file-posix.c)";
constexpr const char* kOpening = "images and libraries are opened (seen)";
constexpr const char* kWaiting = "it waits for requests (seen; source: util/aio-posix.c)";
constexpr const char* kTalk = "the vhost-user connection (seen; source: libvhost-user)";
constexpr const char* kMemory = "memory (seen)";
constexpr const char* kThreads = "its threads (seen; source: util/thread-pool.c)";
constexpr const char* kStart = "the loader and the C library (seen)";
constexpr const char* kTime = "clocks, where the C library cannot ask without a call";
constexpr const char* kBlockDevice = "block devices as images (source: block/file-posix.c)";
constexpr const char* kNoSurface = "it goes on without (seen)";

constexpr std::uint32_t kXfsDioInfo = 0x800c581e;  // XFS_IOC_DIOINFO

constexpr std::array kRows = {
    allow(SYS_read, "read", kDisk),
    allow(SYS_write, "write", kWaiting),
    allow(SYS_readv, "readv", kDisk),
    allow(SYS_writev, "writev", kDisk),
    allow(SYS_pread64, "pread64", kDisk),
    allow(SYS_pwrite64, "pwrite64", kDisk),
    allow(SYS_preadv, "preadv", kDisk),
    allow(SYS_pwritev, "pwritev", kDisk),
    allow(SYS_preadv2, "preadv2", kDisk),
    allow(SYS_pwritev2, "pwritev2", kDisk),
    allow(SYS_fsync, "fsync", kDisk),
    allow(SYS_fdatasync, "fdatasync", kDisk),
    allow(SYS_sync_file_range, "sync_file_range", kDisk),
    allow(SYS_fallocate, "fallocate", kDisk),
    allow(SYS_ftruncate, "ftruncate", kDisk),
    allow(SYS_lseek, "lseek", "holes (seen; source: find_allocation)"),
    allow(SYS_copy_file_range, "copy_file_range", kDisk),
    allow(SYS_flock, "flock", "locks of images"),
    allow(SYS_fcntl, "fcntl", "locks of images, flags (seen)"),
    allow_request(BLKGETSIZE64, "ioctl BLKGETSIZE64", kBlockDevice),
    allow_request(BLKSSZGET, "ioctl BLKSSZGET", kBlockDevice),
    allow_request(BLKPBSZGET, "ioctl BLKPBSZGET", kBlockDevice),
    allow_request(BLKBSZGET, "ioctl BLKBSZGET", kBlockDevice),
    allow_request(BLKSECTGET, "ioctl BLKSECTGET", kBlockDevice),
    allow_request(BLKROGET, "ioctl BLKROGET", kBlockDevice),
    allow_request(BLKDISCARD, "ioctl BLKDISCARD", kBlockDevice),
    allow_request(BLKZEROOUT, "ioctl BLKZEROOUT", kBlockDevice),
    allow_request(kXfsDioInfo, "ioctl XFS_IOC_DIOINFO", "alignment (source: probe_alignment)"),
    allow_request(FIONBIO, "ioctl FIONBIO", kTalk),
    allow(SYS_openat, "openat", kOpening),
    allow(SYS_open, "open", kOpening),
    allow(SYS_close, "close", kOpening),
    allow(SYS_close_range, "close_range", kOpening),
    allow(SYS_fstat, "fstat", kOpening),
    allow(SYS_stat, "stat", kOpening),
    allow(SYS_lstat, "lstat", kOpening),
    allow(SYS_newfstatat, "newfstatat", kOpening),
    allow(SYS_statx, "statx", kOpening),
    allow(SYS_statfs, "statfs", kOpening),
    allow(SYS_fstatfs, "fstatfs", kOpening),
    allow(SYS_access, "access", kOpening),
    allow(SYS_faccessat, "faccessat", kOpening),
    allow(SYS_faccessat2, "faccessat2", kOpening),
    allow(SYS_readlink, "readlink", kOpening),
    allow(SYS_readlinkat, "readlinkat", kOpening),
    allow(SYS_getdents64, "getdents64", "libnuma looks for nodes (seen)"),
    allow(SYS_getcwd, "getcwd", kOpening),
    allow(SYS_dup, "dup", kOpening),
    allow(SYS_dup2, "dup2", kOpening),
    allow(SYS_dup3, "dup3", kOpening),
    allow(SYS_pipe2, "pipe2", kWaiting),
    allow(SYS_eventfd2, "eventfd2", kWaiting),
    allow(SYS_signalfd4, "signalfd4", "SIGTERM ends it (seen)"),
    allow(SYS_poll, "poll", kWaiting),
    allow(SYS_ppoll, "ppoll", kWaiting),
    allow(SYS_epoll_create1, "epoll_create1", kWaiting),
    allow(SYS_epoll_ctl, "epoll_ctl", kWaiting),
    allow(SYS_epoll_wait, "epoll_wait", kWaiting),
    allow(SYS_epoll_pwait, "epoll_pwait", kWaiting),
    allow(SYS_timerfd_create, "timerfd_create", kWaiting),
    allow(SYS_timerfd_settime, "timerfd_settime", kWaiting),
    allow(SYS_listen, "listen", kTalk),
    allow(SYS_accept, "accept", kTalk),
    allow(SYS_accept4, "accept4", kTalk),
    allow(SYS_recvmsg, "recvmsg", kTalk),
    allow(SYS_recvfrom, "recvfrom", kTalk),
    allow(SYS_sendmsg, "sendmsg", kTalk),
    allow(SYS_sendto, "sendto", kTalk),
    allow(SYS_shutdown, "shutdown", kTalk),
    allow(SYS_getsockname, "getsockname", kTalk),
    allow(SYS_getpeername, "getpeername", kTalk),
    allow(SYS_getsockopt, "getsockopt", kTalk),
    allow(SYS_setsockopt, "setsockopt", kTalk),
    // What is mapped is not executable, or not writable.
    allow_where(allow(SYS_mmap, "mmap, not executable", kMemory), 2, PROT_EXEC, 0),
    allow_where(allow(SYS_mmap, "mmap, not writable", kStart), 2, PROT_WRITE, 0),
    allow_where(allow(SYS_mprotect, "mprotect, not executable", kMemory), 2, PROT_EXEC, 0),
    allow(SYS_munmap, "munmap", kMemory),
    allow(SYS_mremap, "mremap", kMemory),
    allow(SYS_madvise, "madvise", kMemory),
    allow(SYS_brk, "brk", kMemory),
    allow(SYS_get_mempolicy, "get_mempolicy", "libnuma (seen)"),
    allow(SYS_set_mempolicy, "set_mempolicy", "libnuma looks how many nodes there are (seen)"),
    allow_where(allow(SYS_clone, "clone of a thread", kThreads), 0, CLONE_THREAD, CLONE_THREAD),
    absent(SYS_clone3, "clone3", "its flags are in memory; the C library takes clone then"),
    allow(SYS_futex, "futex", kThreads),
    allow(SYS_set_robust_list, "set_robust_list", kThreads),
    allow(SYS_rseq, "rseq", kThreads),
    allow(SYS_set_tid_address, "set_tid_address", kStart),
    allow(SYS_gettid, "gettid", kThreads),
    allow(SYS_sched_yield, "sched_yield", kThreads),
    allow(SYS_sched_getaffinity, "sched_getaffinity", kThreads),
    allow(SYS_membarrier, "membarrier", "source: util/sys_membarrier.c, where it is built in"),
    allow_option(PR_SET_NAME, "prctl PR_SET_NAME", kThreads),
    allow_option(PR_GET_NAME, "prctl PR_GET_NAME", kThreads),
    allow_option(PR_SET_TIMERSLACK, "prctl PR_SET_TIMERSLACK", "source: util/qemu-timer.c (seen)"),
    allow(SYS_rt_sigaction, "rt_sigaction", kStart),
    allow(SYS_rt_sigprocmask, "rt_sigprocmask", kThreads),
    allow(SYS_rt_sigreturn, "rt_sigreturn", kThreads),
    allow(SYS_sigaltstack, "sigaltstack", "source: util/coroutine-sigaltstack.c"),
    allow(SYS_restart_syscall, "restart_syscall", kWaiting),
    allow(SYS_clock_nanosleep, "clock_nanosleep", kTime),
    allow(SYS_nanosleep, "nanosleep", kTime),
    allow(SYS_clock_gettime, "clock_gettime", kTime),
    allow(SYS_clock_getres, "clock_getres", kTime),
    allow(SYS_gettimeofday, "gettimeofday", kTime),
    allow(SYS_getrandom, "getrandom", kStart),
    allow(SYS_arch_prctl, "arch_prctl", kStart),
    // Its soft limit of files' sizes is gpuvm's to raise (throwaway disks).
    allow_where(
        allow_where(allow(SYS_prlimit64, "prlimit64 that only asks", kStart), 0, 0xffffffff, 0), 2,
        ~std::uint64_t{0}, 0),
    allow(SYS_getrlimit, "getrlimit", kStart),
    allow(SYS_getpid, "getpid", kStart),
    allow(SYS_getppid, "getppid", kStart),
    allow(SYS_getuid, "getuid", kStart),
    allow(SYS_geteuid, "geteuid", kStart),
    allow(SYS_getgid, "getgid", kStart),
    allow(SYS_getegid, "getegid", kStart),
    allow(SYS_uname, "uname", kStart),
    allow(SYS_sysinfo, "sysinfo", kStart),
    // Once, with the key that refusal_filter() asks for.
    allow(SYS_execve, "execve", "the program's own start"),
    allow(SYS_exit, "exit", kThreads),
    allow(SYS_exit_group, "exit_group", "its end"),
    absent(SYS_io_uring_setup, "io_uring_setup", kNoSurface),
    absent(SYS_userfaultfd, "userfaultfd", kNoSurface),
    absent(SYS_memfd_create, "memfd_create", "memory that could be run as a program"),
};

}  // namespace

std::span<const sandbox::Row> storage_daemon_calls() {
  return kRows;
}

}  // namespace gpuvm
