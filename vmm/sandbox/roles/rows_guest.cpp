// SPDX-License-Identifier: Apache-2.0
// The lists of roles that work for a guest while it runs: what its processors, queues and memory
// lead to.
#include <fcntl.h>
#include <sched.h>

#include <array>
#include <cerrno>

#include "vmm/sandbox/roles/ioctl_numbers.hpp"
#include "vmm/sandbox/roles/role_rows.hpp"
#include "vmm/sandbox/row_maker.hpp"

namespace gpuvm::sandbox {
namespace {

constexpr std::uint8_t kPolicy = 1;  ///< argument of sched_setscheduler(2)
/// SCHED_OTHER, FIFO, RR, BATCH: gpuvm's own is one of them, and the kernel asks for rights. Never
/// SCHED_IDLE, in which others of the same user would starve.
constexpr std::uint32_t kUpToBatch = ~std::uint32_t{3U | SCHED_RESET_ON_FORK};
static_assert(SCHED_OTHER == 0 && SCHED_BATCH == 3);

constexpr std::array kVcpu{
    control_call(request::kKvmRun, "ioctl KVM_RUN", "the guest"),
    control_call(request::kKvmClockControl, "ioctl KVM_KVMCLOCK_CTRL", "the guest was paused"),
    control_call(request::kKvmGetRegs, "ioctl KVM_GET_REGS",
                 "where a guest failed that KVM gives up", Use::kRare),
    control_call(request::kKvmGetSregs, "ioctl KVM_GET_SREGS", "the same", Use::kRare),
};

constexpr std::array kDevices{
    control_call(request::kKvmIrqLine, "ioctl KVM_IRQ_LINE", "pins of platform devices and INTx"),
    control_call(request::kKvmSetGsiRouting, "ioctl KVM_SET_GSI_ROUTING",
                 "the guest sets a vector"),
    control_call(request::kKvmIrqfd, "ioctl KVM_IRQFD", "the guest enables a vector"),
    control_call(request::kKvmIoeventfd, "ioctl KVM_IOEVENTFD", "a BAR with doorbells moves"),
    control_call(request::kKvmSetMemory, "ioctl KVM_SET_USER_MEMORY_REGION", "a BAR moves"),
    control_call(request::kVfioSetIrqs, "ioctl VFIO_DEVICE_SET_IRQS", "interrupts of a function"),
    control_call(request::kVfioReset, "ioctl VFIO_DEVICE_RESET", "the guest resets a function"),
    control_call(request::kVfioRegionInfo, "ioctl VFIO_DEVICE_GET_REGION_INFO",
                 "the guest resizes a BAR", Use::kRare),
    control_call(request::kVfioIoeventfd, "ioctl VFIO_DEVICE_IOEVENTFD",
                 "a register is relayed in the "
                 "kernel: cards with such a quirk",
                 Use::kRare),
    control_call(request::kVfioMapDma, "ioctl VFIO_IOMMU_MAP_DMA",
                 "a BAR that other functions reach moves; "
                 "the number is VFIO_DEVICE_PCI_HOT_RESET's, too",
                 Use::kRare),
    control_call(request::kVfioUnmapDma, "ioctl VFIO_IOMMU_UNMAP_DMA", "the same", Use::kRare),
    call(SYS_pread64, "pread64", "registers of functions, files of fw_cfg"),
    call(SYS_pwrite64, "pwrite64", "registers of functions, the flash of UEFI variables"),
    call(SYS_eventfd2, "eventfd2", "an event for a vector"),
    call(SYS_sendmsg, "sendmsg", "requests to vfio-user and vhost-user servers"),
    call(SYS_recvmsg, "recvmsg", "answers of vhost-user servers"),
    call(SYS_shutdown, "shutdown", "a server that does not answer is lost", Use::kRare),
    where(call(SYS_fcntl, "fcntl F_DUPFD_CLOEXEC", "an event for a server's interrupt", Use::kRare),
          1, F_DUPFD_CLOEXEC),
    call(SYS_timerfd_settime, "timerfd_settime", "a queue with a rate is stopped", Use::kRare),
    call(SYS_fdatasync, "fdatasync", "UEFI variables to the disk", Use::kRare),
    call(SYS_fsync, "fsync", "the same", Use::kRare),
    call(SYS_writev, "writev", "a console that is a file of the C library", Use::kRare),
};

constexpr std::array kVhost{
    control_call(request::kVhostSetFeatures, "ioctl VHOST_SET_FEATURES",
                 "a driver starts a device"),
    control_call(request::kVhostSetMemory, "ioctl VHOST_SET_MEM_TABLE", "the same"),
    control_call(request::kVhostSetNumber, "ioctl VHOST_SET_VRING_NUM", "the same"),
    control_call(request::kVhostSetAddress, "ioctl VHOST_SET_VRING_ADDR", "the same"),
    control_call(request::kVhostSetBase, "ioctl VHOST_SET_VRING_BASE", "the same"),
    control_call(request::kVhostSetKick, "ioctl VHOST_SET_VRING_KICK", "the same"),
    control_call(request::kVhostSetCall, "ioctl VHOST_SET_VRING_CALL", "the same; vectors change"),
    control_call(request::kVhostSetError, "ioctl VHOST_SET_VRING_ERR", "the same"),
    control_call(request::kVhostGetBase, "ioctl VHOST_GET_VRING_BASE", "a driver stops a device"),
    control_call(request::kVhostNetSetBackend, "ioctl VHOST_NET_SET_BACKEND", "a network's queue"),
    control_call(request::kVhostVsockSetRunning, "ioctl VHOST_VSOCK_SET_RUNNING",
                 "a driver starts a vsock"),
    control_call(request::kTunSetOffload, "ioctl TUNSETOFFLOAD", "what a driver can take"),
    control_call(request::kTunGetInterface, "ioctl TUNGETIFF", "is the tap still there?"),
    control_call(request::kTunSetQueue, "ioctl TUNSETQUEUE", "a driver uses more queues or fewer"),
};

constexpr std::array kQueue{
    control_call(request::kKvmIrqLine, "ioctl KVM_IRQ_LINE", "a device's pin"),
    control_call(request::kKvmSetGsiRouting, "ioctl KVM_SET_GSI_ROUTING",
                 "a vector is used for the first "
                 "time",
                 Use::kRare),
    control_call(request::kKvmIrqfd, "ioctl KVM_IRQFD", "the same", Use::kRare),
    control_call(request::kVhostNetSetBackend, "ioctl VHOST_NET_SET_BACKEND", "the control queue"),
    control_call(request::kTunGetInterface, "ioctl TUNGETIFF", "is the tap still there?"),
    control_call(request::kTunSetQueue, "ioctl TUNSETQUEUE", "the control queue"),
    control_call(request::kBlockDiscard, "ioctl BLKDISCARD", "a disk that is a block device",
                 Use::kRare),
    control_call(request::kBlockSize64, "ioctl BLKGETSIZE64", "the same: has it grown?",
                 Use::kRare),
    call(SYS_io_uring_enter, "io_uring_enter", "requests of disks, by rings that are restricted"),
    call(SYS_preadv, "preadv", "requests of disks without io_uring"),
    call(SYS_pwritev, "pwritev", "the same"),
    call(SYS_fdatasync, "fdatasync", "flushes of disks"),
    call(SYS_fallocate, "fallocate", "discards of disks"),
    call(SYS_pread64, "pread64", "registers of functions, on the way of an interrupt", Use::kRare),
    call(SYS_recvfrom, "recvfrom", "frames of passt, changes of taps"),
    call(SYS_writev, "writev", "frames to a tap"),
    call(SYS_timerfd_settime, "timerfd_settime", "the rate of an entropy device"),
    call(SYS_eventfd2, "eventfd2", "an event for a vector", Use::kRare),
    call(SYS_sendmsg, "sendmsg", "a vhost-user server hears of a vector", Use::kRare),
    call(SYS_recvmsg, "recvmsg", "its answer", Use::kRare),
    call(SYS_shutdown, "shutdown", "a server that does not answer is lost", Use::kRare),
};

constexpr std::array kReader{
    call(SYS_recvmsg, "recvmsg", "messages of servers, with descriptors"),
    call(SYS_recvfrom, "recvfrom", "the rest of a message"),
    call(SYS_sendmsg, "sendmsg", "answers to what servers ask"),
    call(SYS_shutdown, "shutdown", "a server that is lost", Use::kRare),
    control_call(request::kKvmIrqLine, "ioctl KVM_IRQ_LINE", "a device's configuration has changed",
                 Use::kRare),
    control_call(request::kKvmSetGsiRouting, "ioctl KVM_SET_GSI_ROUTING", "the same", Use::kRare),
    control_call(request::kKvmIrqfd, "ioctl KVM_IRQFD", "the same", Use::kRare),
    control_call(request::kKvmSetMemory, "ioctl KVM_SET_USER_MEMORY_REGION",
                 "a lost device's BARs go away", Use::kRare),
    call(SYS_eventfd2, "eventfd2", "an event for a vector", Use::kRare),
};

constexpr std::array kMemory{
    control_call(request::kVfioMapDma, "ioctl VFIO_IOMMU_MAP_DMA", "guest memory, for devices"),
    control_call(request::kVfioUnmapDma, "ioctl VFIO_IOMMU_UNMAP_DMA", "a start that is broken off",
                 Use::kRare),
    call(SYS_sendmsg, "sendmsg", "guest memory, for vfio-user servers"),
    where(call(SYS_sched_setscheduler, "sched_setscheduler of this thread",
               "the guest's processors go first"),
          0, 0),
    where(call(SYS_sched_setscheduler, "sched_setscheduler to an ordinary policy",
               "threads that prepare memory hurry, since a vCPU waits for them", Use::kRare),
          kPolicy, SCHED_OTHER, kUpToBatch),
    call(SYS_sched_getscheduler, "sched_getscheduler", "the same", Use::kRare),
    call(SYS_sched_getparam, "sched_getparam", "the same", Use::kRare),
    where(call(SYS_sched_setaffinity, "sched_setaffinity", "this thread near to the memory's node",
               Use::kRare),
          0, 0),
};

}  // namespace

std::span<const Row> vcpu_rows() {
  return kVcpu;
}
std::span<const Row> device_rows() {
  return kDevices;
}
std::span<const Row> vhost_rows() {
  return kVhost;
}
std::span<const Row> queue_rows() {
  return kQueue;
}
std::span<const Row> reader_rows() {
  return kReader;
}
std::span<const Row> memory_rows() {
  return kMemory;
}

}  // namespace gpuvm::sandbox
