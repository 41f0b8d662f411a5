// SPDX-License-Identifier: Apache-2.0
// The lists of roles that steer a guest, and of what one process does until an owner does it.
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "vmm/sandbox/roles/ioctl_numbers.hpp"
#include "vmm/sandbox/roles/role_rows.hpp"
#include "vmm/sandbox/row_maker.hpp"

namespace gpuvm::sandbox {
namespace {

constexpr Use kUntilOwner = Use::kUntilOwner;

/// As pthread_create(3) has them: no new process, no namespace.
constexpr std::uint32_t kThreadFlags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
                                       CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
                                       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
/// As fork(3) has them.
constexpr std::uint32_t kForkFlags = CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID | SIGCHLD;

// Numbers of fcntl(2) that differ in their last bits only.
constexpr std::uint32_t kUpToSetLockWait = ~std::uint32_t{7};     ///< 0 to 7
constexpr std::uint32_t kUpToOfdSetLockWait = ~std::uint32_t{3};  ///< 36 to 39
constexpr std::uint32_t kFirstOfSeals = 1032;                     ///< F_GETPIPE_SZ
constexpr std::uint32_t kUpToGetSeals = ~std::uint32_t{3};        ///< 1032 to 1035
static_assert(F_SETLKW == 7 && F_OFD_GETLK == 36 && F_OFD_SETLKW == 38 && F_ADD_SEALS == 1033);

constexpr std::array kThread{
    // Its flags are behind a pointer, so it is as on a kernel without it, and clone(2) is taken.
    refused(call(SYS_clone3, "clone3", "a thread; not seen in log mode", Use::kRare), ENOSYS),
    where(call(SYS_clone, "clone of a thread", "a thread; not seen in log mode", Use::kRare), 0,
          kThreadFlags),
    call(SYS_set_robust_list, "set_robust_list", "a thread begins"),
    call(SYS_rseq, "rseq", "a thread begins", Use::kRare),
};

constexpr std::array kControl{
    call(SYS_epoll_wait, "epoll_wait", "Asio's loop"),
    call(SYS_timerfd_settime, "timerfd_settime", "Asio's timers"),
    call(SYS_accept4, "accept4", "clients of the control socket and of consoles"),
    call(SYS_recvfrom, "recvfrom", "requests, what is typed"),
    call(SYS_recvmsg, "recvmsg", "the same by Asio"),
    call(SYS_sendmsg, "sendmsg", "answers, by Asio"),
    call(SYS_readv, "readv", "what is typed, by Asio", Use::kRare),
    call(SYS_writev, "writev", "output, by Asio", Use::kRare),
    call(SYS_getsockopt, "getsockopt", "who a client is"),
    // Not what a protocol has: the filters of the host's network are behind IPPROTO_IP.
    where(
        call(SYS_setsockopt, "setsockopt of SOL_SOCKET", "a client's socket, by Asio", Use::kRare),
        1, SOL_SOCKET),
    call(SYS_shutdown, "shutdown", "an answer was the last"),
    call(SYS_geteuid, "geteuid", "is the client the user of this process?", Use::kRare),
    call(SYS_getpeername, "getpeername", "Asio", Use::kRare),
    call(SYS_getsockname, "getsockname", "Asio", Use::kRare),
    where(call(SYS_fcntl, "fcntl F_GETFL", "a descriptor becomes one that waits for nothing"), 1,
          F_GETFL),
    where(call(SYS_fcntl, "fcntl F_SETFL", "the same"), 1, F_SETFL),
    where(call(SYS_fcntl, "fcntl F_DUPFD_CLOEXEC", "a second descriptor of a client"), 1,
          F_DUPFD_CLOEXEC),
    control_call(request::kNonBlocking, "ioctl FIONBIO", "the same, by Asio", Use::kRare),
    control_call(request::kWindowSize, "ioctl TIOCGWINSZ", "the size of the terminal"),
    control_call(request::kTerminalSet, "ioctl TCSETS", "the same, after SIGCONT", Use::kRare),
    control_call(request::kTerminalSetDrained, "ioctl TCSETSW", "the same", Use::kRare),
    control_call(request::kTerminalSetFlushed, "ioctl TCSETSF", "the same", Use::kRare),
    control_call(request::kKvmIrqLine, "ioctl KVM_IRQ_LINE",
                 "the power button, what is typed, the clock"),
    control_call(request::kKvmSetGsiRouting, "ioctl KVM_SET_GSI_ROUTING",
                 "a device's configuration has "
                 "changed",
                 Use::kRare),
    control_call(request::kKvmIrqfd, "ioctl KVM_IRQFD", "the same", Use::kRare),
    call(SYS_eventfd2, "eventfd2", "an event for a vector", Use::kRare),
    call(SYS_pread64, "pread64", "registers of functions, on the way of an interrupt", Use::kRare),
    control_call(request::kVfioSetIrqs, "ioctl VFIO_DEVICE_SET_IRQS",
                 "a card is detached, and its errors are not heard any more", Use::kRare),
};

constexpr std::array kWorker{
    control_call(request::kKvmCreateVm, "ioctl KVM_CREATE_VM", "a reboot makes the VM anew"),
    control_call(request::kKvmCheckExtension, "ioctl KVM_CHECK_EXTENSION", "the same", Use::kRare),
    control_call(request::kKvmVcpuMmapSize, "ioctl KVM_GET_VCPU_MMAP_SIZE", "the same", Use::kRare),
    control_call(request::kKvmCreateVcpu, "ioctl KVM_CREATE_VCPU", "the same"),
    control_call(request::kKvmSetTss, "ioctl KVM_SET_TSS_ADDR", "the same"),
    control_call(request::kKvmSetIdentityMap, "ioctl KVM_SET_IDENTITY_MAP_ADDR", "the same"),
    control_call(request::kKvmCreateIrqchip, "ioctl KVM_CREATE_IRQCHIP", "the same"),
    control_call(request::kKvmCreatePit2, "ioctl KVM_CREATE_PIT2", "the same"),
    control_call(request::kKvmReinjectControl, "ioctl KVM_REINJECT_CONTROL", "the same"),
    control_call(request::kKvmSetCpuid, "ioctl KVM_SET_CPUID2", "the same"),
    control_call(request::kKvmSetupMce, "ioctl KVM_X86_SETUP_MCE", "the same"),
    control_call(request::kKvmGetMsrs, "ioctl KVM_GET_MSRS", "the same", Use::kRare),
    control_call(request::kKvmSetMsrs, "ioctl KVM_SET_MSRS", "the same"),
    control_call(request::kKvmSetRegs, "ioctl KVM_SET_REGS", "where the guest begins"),
    control_call(request::kKvmGetRegs, "ioctl KVM_GET_REGS", "the same", Use::kRare),
    control_call(request::kKvmGetSregs, "ioctl KVM_GET_SREGS", "where the guest begins"),
    control_call(request::kKvmSetSregs, "ioctl KVM_SET_SREGS", "the same"),
    control_call(request::kKvmStatsFd, "ioctl KVM_GET_STATS_FD", "counters of a vCPU"),
    control_call(request::kKvmCreateDevice, "ioctl KVM_CREATE_DEVICE",
                 "KVM learns of VFIO's groups"),
    control_call(request::kKvmSetDeviceAttribute, "ioctl KVM_SET_DEVICE_ATTR", "the same"),
    control_call(
        request::kVfioHotResetInfo, "ioctl VFIO_DEVICE_GET_PCI_HOT_RESET_INFO",
        "what a hot reset reaches; the number is VFIO_IOMMU_GET_INFO's, too: the container "
        "of a card that is attached"),
    control_call(request::kVfioDeviceInfo, "ioctl VFIO_DEVICE_GET_INFO",
                 "what a device is: of a card that is attached", Use::kRare),
    control_call(request::kVfioIrqInfo, "ioctl VFIO_DEVICE_GET_IRQ_INFO", "the same", Use::kRare),
    where(call(SYS_sched_setaffinity, "sched_setaffinity",
               "this thread near to a node whose memory gets its pages for a card that is attached",
               Use::kRare),
          0, 0),
    call(SYS_ftruncate, "ftruncate", "the mark of a device that is in use"),
    call(SYS_recvfrom, "recvfrom", "what a lost server still sent", Use::kRare),
    call(SYS_io_uring_enter, "io_uring_enter", "the last requests of a disk", Use::kRare),
    call(SYS_fallocate, "fallocate", "the same", Use::kRare),
    call(SYS_preadv, "preadv", "the same", Use::kRare),
    call(SYS_pwritev, "pwritev", "the same", Use::kRare),
    call(SYS_pidfd_send_signal, "pidfd_send_signal", "a program that runs for the guest is to end",
         Use::kRare),
};

constexpr std::array kFile{
    call(SYS_openat, "openat", "sysfs at a reset; kernel and initrd at a reboot", kUntilOwner),
    call(SYS_newfstatat, "newfstatat", "the same", kUntilOwner),
    call(SYS_readlink, "readlink", "a driver's name", kUntilOwner),
    call(SYS_readlinkat, "readlinkat", "the same", kUntilOwner),
    call(SYS_access, "access", "is an attribute there?", kUntilOwner),
    call(SYS_faccessat, "faccessat", "the same", kUntilOwner),
    call(SYS_faccessat2, "faccessat2", "the same", kUntilOwner),
    call(SYS_getdents64, "getdents64", "folders of sysfs", kUntilOwner),
    call(SYS_lseek, "lseek", "the same; files of the C library", kUntilOwner),
    call(SYS_unlink, "unlink", "the mark of a device that is well again", kUntilOwner),
    call(SYS_flock, "flock", "the same", kUntilOwner),
    // None that sends signals (F_SETOWN, F_SETSIG) or leases files.
    where(call(SYS_fcntl, "fcntl of flags", "folders of sysfs; F_DUPFD to F_SETLKW", kUntilOwner),
          1, F_DUPFD, kUpToSetLockWait),
    where(call(SYS_fcntl, "fcntl of locks", "F_OFD_GETLK to F_OFD_SETLKW", kUntilOwner), 1,
          F_OFD_GETLK, kUpToOfdSetLockWait),
    where(call(SYS_fcntl, "fcntl of seals", "F_GETPIPE_SZ to F_GET_SEALS", kUntilOwner), 1,
          kFirstOfSeals, kUpToGetSeals),
    call(SYS_readv, "readv", "files of the C++ library", kUntilOwner),
};

constexpr std::array kChild{
    where(call(SYS_clone, "clone of a process", "a child that writes to sysfs", kUntilOwner), 0,
          kForkFlags),
    call(SYS_pipe2, "pipe2", "what it says", kUntilOwner),
    call(SYS_close_range, "close_range", "it has none of our files", kUntilOwner),
    call(SYS_wait4, "wait4", "it has ended", kUntilOwner),
    // Of its own: kill(2) would reach any process of the host.
    call(SYS_timer_create, "timer_create", "a child ends itself in time", kUntilOwner),
    call(SYS_timer_settime, "timer_settime", "the same", kUntilOwner),
};

constexpr std::array kWatcher{
    call(SYS_wait4, "wait4", "how a program has ended"),
    call(SYS_pidfd_send_signal, "pidfd_send_signal", "a program is to end"),
    call(SYS_fstatfs, "fstatfs", "room for a throwaway disk"),
    call(SYS_statfs, "statfs", "the same", Use::kRare),
    call(SYS_lseek, "lseek", "the same", Use::kRare),
    where(call(SYS_prlimit64, "prlimit64 of RLIMIT_FSIZE",
               "the same: the most that a storage daemon may write"),
          1, RLIMIT_FSIZE),
    control_call(request::kKvmIrqLine, "ioctl KVM_IRQ_LINE", "a device is broken", Use::kRare),
    call(SYS_shutdown, "shutdown", "a program's socket", Use::kRare),
};

constexpr std::array kWords{
    call(SYS_accept4, "accept4", "the guest has a word"),
    call(SYS_recvfrom, "recvfrom", "the word"),
};

constexpr std::array kInspector{
    call(SYS_pread64, "pread64", "KVM's counters, registers of functions"),
    call(SYS_sendmsg, "sendmsg", "registers of vfio-user functions", Use::kRare),
    control_call(request::kTunGetInterface, "ioctl TUNGETIFF", "is the tap still there?",
                 Use::kRare),
    control_call(request::kVhostGetBase, "ioctl VHOST_GET_VRING_BASE", "a ring's place",
                 Use::kRare),
};

constexpr std::array kVariables{
    call(SYS_memfd_create, "memfd_create", "the variables, for an owner that keeps the file",
         Use::kRare),
    call(SYS_sendmsg, "sendmsg", "the same", Use::kRare),
    call(SYS_recvmsg, "recvmsg", "the owner's answer", Use::kRare),
    call(SYS_openat, "openat", "a new file of variables", kUntilOwner),
    where(call(SYS_fcntl, "fcntl F_OFD_SETLK", "its lock, for as long as the guest runs",
               kUntilOwner),
          1, F_OFD_SETLK),
    call(SYS_ftruncate, "ftruncate", "the same", kUntilOwner),
    call(SYS_fsync, "fsync", "it is on the disk before it has its name", kUntilOwner),
    call(SYS_renameat2, "renameat2", "it takes the place of the old one", kUntilOwner),
    call(SYS_rename, "rename", "the same, of an old file system", kUntilOwner),
    call(SYS_renameat, "renameat", "the same", kUntilOwner),
    call(SYS_linkat, "linkat", "a file that was made without a name", kUntilOwner),
    call(SYS_unlink, "unlink", "one that could not be made", kUntilOwner),
    call(SYS_unlinkat, "unlinkat", "the same", kUntilOwner),
    call(SYS_fchmod, "fchmod", "who may read it", kUntilOwner),
    call(SYS_newfstatat, "newfstatat", "what is there", kUntilOwner),
    where(call(SYS_fcntl, "fcntl F_ADD_SEALS", "the same: nobody changes them", Use::kRare), 1,
          F_ADD_SEALS),
};

}  // namespace

std::span<const Row> thread_rows() {
  return kThread;
}
std::span<const Row> control_rows() {
  return kControl;
}
std::span<const Row> worker_rows() {
  return kWorker;
}
std::span<const Row> file_rows() {
  return kFile;
}
std::span<const Row> child_rows() {
  return kChild;
}
std::span<const Row> watcher_rows() {
  return kWatcher;
}
std::span<const Row> words_rows() {
  return kWords;
}
std::span<const Row> inspector_rows() {
  return kInspector;
}
std::span<const Row> variable_rows() {
  return kVariables;
}

}  // namespace gpuvm::sandbox
