// SPDX-License-Identifier: Apache-2.0
// The list of every role. What a descriptor is decides what read(2) and its like do with it, and a
// thread has those that gpuvm opened: so they are no power of their own.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>

#include <cerrno>

#include "vmm/sandbox/roles/ioctl_numbers.hpp"
#include "vmm/sandbox/roles/role_tables.hpp"
#include "vmm/sandbox/row_maker.hpp"

// What the code that sanitizers add does on any thread.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GPUVM_HAS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GPUVM_HAS_SANITIZER
#endif
#endif

namespace gpuvm::sandbox {
namespace {

constexpr std::uint8_t kProtection = 2;  ///< argument of mmap(2), mprotect(2)
constexpr std::uint8_t kOpenFlags = 2;   ///< of openat(2)
constexpr std::uint8_t kStatFlags = 3;   ///< of newfstatat(2)
constexpr std::uint8_t kSendAddress = 4;
constexpr std::uint8_t kSignal = 2;  ///< of tgkill(2)

constexpr std::array kCommon{
#ifdef GPUVM_HAS_SANITIZER
    call(SYS_sigaltstack, "sigaltstack", "the end of a thread", Use::kRare),
    call(SYS_pipe2, "pipe2", "whether memory can be read", Use::kRare),
#endif
    call(SYS_futex, "futex", "locks, condition variables, the end of threads"),
    call(SYS_read, "read", "eventfds, pipes, terminals, taps"),
    call(SYS_write, "write", "eventfds, the log, events, consoles"),
    call(SYS_close, "close", "descriptors that are not needed any more"),
    call(SYS_poll, "poll", "waits for eventfds and sockets"),
    call(SYS_epoll_ctl, "epoll_ctl", "work for the control thread: Asio wakes it so"),
    call(SYS_clock_nanosleep, "clock_nanosleep", "rests while a device resets"),
    where(call(SYS_mmap, "mmap without PROT_EXEC", "malloc's arenas, stacks, BARs"), kProtection, 0,
          PROT_EXEC),
    where(call(SYS_mprotect, "mprotect without PROT_EXEC", "malloc's arenas, guards of stacks"),
          kProtection, 0, PROT_EXEC),
    call(SYS_munmap, "munmap", "malloc's large blocks, stacks, BARs"),
    call(SYS_madvise, "madvise", "malloc and the end of a thread give pages back"),
    // No other signal: SIGSTOP, of any thread to itself, would keep the guest from its end.
    where(where_own_process(call(SYS_tgkill, "tgkill SIGRTMIN to this process", "vCPUs are kicked"),
                            0),
          kSignal, kKickSignal),
    where(where_own_process(
              call(SYS_tgkill, "tgkill SIGABRT to this process", "abort(3)", Use::kRare), 0),
          kSignal, SIGABRT),
    call(SYS_rt_sigprocmask, "rt_sigprocmask", "pthread_kill(3), the end of a thread"),
    call(SYS_gettid, "gettid", "spdlog notes a line's thread"),
    // What a filter cannot check is whether the address of a connected socket is there; without it
    // a socket sends only to where it was connected before.
    where(call(SYS_sendto, "sendto without an address", "connected sockets, the journal's too"),
          kSendAddress, 0),
    call(SYS_exit, "exit", "the end of a thread; not seen in log mode", Use::kRare),
    call(SYS_exit_group, "exit_group", "the end of a child; not seen in log mode", Use::kRare),
    call(SYS_rt_sigreturn, "rt_sigreturn", "the end of a signal's handler; not seen in log mode",
         Use::kRare),
    call(SYS_restart_syscall, "restart_syscall", "a wait goes on after SIGSTOP and SIGCONT",
         Use::kRare),
    call(SYS_mremap, "mremap", "realloc(3) of large blocks", Use::kRare),
    call(SYS_brk, "brk", "malloc's first arena, which threads may share", Use::kRare),
    call(SYS_sched_yield, "sched_yield", "io_uring without memory, locks of libraries", Use::kRare),
    call(SYS_sched_getaffinity, "sched_getaffinity", "malloc counts processors for its arenas",
         Use::kRare),
    call(SYS_clock_gettime, "clock_gettime", "a clock of the host that the vDSO cannot read",
         Use::kRare),
    call(SYS_gettimeofday, "gettimeofday", "the same", Use::kRare),
    call(SYS_getpid, "getpid", "pthread_kill(3) and abort(3)", Use::kRare),
    call(SYS_getrandom, "getrandom", "malloc's secret; entropy for a guest", Use::kRare),
    call(SYS_fstat, "fstat", "what a descriptor is", Use::kRare),
    control_call(request::kTerminalGet, "ioctl TCGETS",
                 "the first line to a stream of the C library: is it a terminal?", Use::kRare),
    // The same in the C library of Debian 12. The path behind the pointer cannot be checked: so
    // whether a file is there, and its size and owner, can be asked.
    where(call(SYS_newfstatat, "newfstatat with AT_EMPTY_PATH", "fstat(3)", Use::kRare), kStatFlags,
          AT_EMPTY_PATH),
    refused(where(call(SYS_openat, "openat for reading",
                       "malloc looks whether memory may be "
                       "overcommitted, and goes on without",
                       Use::kRare),
                  kOpenFlags, O_RDONLY | O_CLOEXEC),
            EACCES),
};

}  // namespace

std::span<const Row> common_rows() {
  return kCommon;
}

}  // namespace gpuvm::sandbox
