// SPDX-License-Identifier: Apache-2.0
#include "vmm/sandbox/roles/ioctl_numbers.hpp"

#include <gtest/gtest.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/vfio.h>
// Without it the kernel's header has functions that are no C++.
#define VIRTIO_RING_NO_LEGACY
#include <linux/vhost.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <utility>
#include <vector>

#include "vmm/kvm/kvm_uapi.hpp"  // those whose C structures C++ sees with another size

namespace gpuvm::sandbox::ioctl_numbers_test {
namespace {

using Numbers = std::vector<std::pair<std::uint32_t, unsigned long>>;

void expect_same(const Numbers& numbers) {
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    EXPECT_EQ(numbers[i].first, numbers[i].second) << "number " << i;
  }
}

TEST(IoctlNumbers, AreThoseOfKvm) {
  expect_same({{request::kKvmCreateVm, KVM_CREATE_VM},
               {request::kKvmCheckExtension, KVM_CHECK_EXTENSION},
               {request::kKvmVcpuMmapSize, KVM_GET_VCPU_MMAP_SIZE},
               {request::kKvmSupportedCpuid, kvm_uapi::kGetSupportedCpuid},
               {request::kKvmCreateVcpu, KVM_CREATE_VCPU},
               {request::kKvmSetMemory, KVM_SET_USER_MEMORY_REGION},
               {request::kKvmSetTss, KVM_SET_TSS_ADDR},
               {request::kKvmSetIdentityMap, KVM_SET_IDENTITY_MAP_ADDR},
               {request::kKvmCreateIrqchip, KVM_CREATE_IRQCHIP},
               {request::kKvmIrqLine, KVM_IRQ_LINE},
               {request::kKvmSetGsiRouting, kvm_uapi::kSetGsiRouting},
               {request::kKvmReinjectControl, KVM_REINJECT_CONTROL},
               {request::kKvmIrqfd, KVM_IRQFD},
               {request::kKvmCreatePit2, KVM_CREATE_PIT2},
               {request::kKvmIoeventfd, KVM_IOEVENTFD},
               {request::kKvmRun, KVM_RUN},
               {request::kKvmGetRegs, KVM_GET_REGS},
               {request::kKvmSetRegs, KVM_SET_REGS},
               {request::kKvmGetSregs, KVM_GET_SREGS},
               {request::kKvmSetSregs, KVM_SET_SREGS},
               {request::kKvmGetMsrs, kvm_uapi::kGetMsrs},
               {request::kKvmSetMsrs, kvm_uapi::kSetMsrs},
               {request::kKvmSetCpuid, kvm_uapi::kSetCpuid},
               {request::kKvmSetupMce, KVM_X86_SETUP_MCE},
               {request::kKvmClockControl, KVM_KVMCLOCK_CTRL},
               {request::kKvmStatsFd, KVM_GET_STATS_FD},
               {request::kKvmCreateDevice, KVM_CREATE_DEVICE},
               {request::kKvmSetDeviceAttribute, KVM_SET_DEVICE_ATTR}});
}

TEST(IoctlNumbers, AreThoseOfVfio) {
  expect_same({{request::kVfioDeviceInfo, VFIO_DEVICE_GET_INFO},
               {request::kVfioRegionInfo, VFIO_DEVICE_GET_REGION_INFO},
               {request::kVfioIrqInfo, VFIO_DEVICE_GET_IRQ_INFO},
               {request::kVfioSetIrqs, VFIO_DEVICE_SET_IRQS},
               {request::kVfioReset, VFIO_DEVICE_RESET},
               {request::kVfioHotResetInfo, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO},
               {request::kVfioHotReset, VFIO_DEVICE_PCI_HOT_RESET},
               {request::kVfioMapDma, VFIO_IOMMU_MAP_DMA},
               {request::kVfioUnmapDma, VFIO_IOMMU_UNMAP_DMA},
               {request::kVfioIoeventfd, VFIO_DEVICE_IOEVENTFD}});
}

TEST(IoctlNumbers, AreThoseOfVhostTapsDisksAndTerminals) {
  expect_same({{request::kVhostSetFeatures, VHOST_SET_FEATURES},
               {request::kVhostSetMemory, VHOST_SET_MEM_TABLE},
               {request::kVhostSetNumber, VHOST_SET_VRING_NUM},
               {request::kVhostSetAddress, VHOST_SET_VRING_ADDR},
               {request::kVhostSetBase, VHOST_SET_VRING_BASE},
               {request::kVhostGetBase, VHOST_GET_VRING_BASE},
               {request::kVhostSetKick, VHOST_SET_VRING_KICK},
               {request::kVhostSetCall, VHOST_SET_VRING_CALL},
               {request::kVhostSetError, VHOST_SET_VRING_ERR},
               {request::kVhostNetSetBackend, VHOST_NET_SET_BACKEND},
               {request::kVhostVsockSetCid, VHOST_VSOCK_SET_GUEST_CID},
               {request::kVhostVsockSetRunning, VHOST_VSOCK_SET_RUNNING},
               {request::kTunSetOffload, TUNSETOFFLOAD},
               {request::kTunGetInterface, TUNGETIFF},
               {request::kTunSetQueue, TUNSETQUEUE},
               {request::kBlockDiscard, BLKDISCARD},
               {request::kBlockSize64, BLKGETSIZE64},
               {request::kTerminalGet, TCGETS},
               {request::kTerminalSet, TCSETS},
               {request::kTerminalSetDrained, TCSETSW},
               {request::kTerminalSetFlushed, TCSETSF},
               {request::kWindowSize, TIOCGWINSZ},
               {request::kNonBlocking, FIONBIO}});
}

}  // namespace
}  // namespace gpuvm::sandbox::ioctl_numbers_test
