// SPDX-License-Identifier: Apache-2.0
// Requests of ioctl(2) that the lists name. They are the kernel's for good; here as numbers, since
// <linux/kvm.h> and <linux/vfio.h> belong to one room each. A unit test compares them with the
// headers (tests/unit/vmm/sandbox/ioctl_numbers_test.cpp).
#pragma once

#include <cstdint>

namespace gpuvm::sandbox::request {

/// As _IOC() of <asm-generic/ioctl.h> makes them. Direction: 0 none, 1 to the kernel, 2 from it, 3.
constexpr std::uint32_t number(unsigned direction, unsigned type, unsigned which, unsigned size) {
  return direction << 30 | size << 16 | type << 8 | which;
}

// Linux, include/uapi/linux/kvm.h.
inline constexpr unsigned kKvm = 0xae;
inline constexpr std::uint32_t kKvmCreateVm = number(0, kKvm, 0x01, 0);
inline constexpr std::uint32_t kKvmCheckExtension = number(0, kKvm, 0x03, 0);
inline constexpr std::uint32_t kKvmVcpuMmapSize = number(0, kKvm, 0x04, 0);
inline constexpr std::uint32_t kKvmSupportedCpuid = number(3, kKvm, 0x05, 8);
inline constexpr std::uint32_t kKvmCreateVcpu = number(0, kKvm, 0x41, 0);
inline constexpr std::uint32_t kKvmSetMemory = number(1, kKvm, 0x46, 32);
inline constexpr std::uint32_t kKvmSetTss = number(0, kKvm, 0x47, 0);
inline constexpr std::uint32_t kKvmSetIdentityMap = number(1, kKvm, 0x48, 8);
inline constexpr std::uint32_t kKvmCreateIrqchip = number(0, kKvm, 0x60, 0);
inline constexpr std::uint32_t kKvmIrqLine = number(1, kKvm, 0x61, 8);
inline constexpr std::uint32_t kKvmSetGsiRouting = number(1, kKvm, 0x6a, 8);
inline constexpr std::uint32_t kKvmReinjectControl = number(0, kKvm, 0x71, 0);
inline constexpr std::uint32_t kKvmIrqfd = number(1, kKvm, 0x76, 32);
inline constexpr std::uint32_t kKvmCreatePit2 = number(1, kKvm, 0x77, 64);
inline constexpr std::uint32_t kKvmIoeventfd = number(1, kKvm, 0x79, 64);
inline constexpr std::uint32_t kKvmRun = number(0, kKvm, 0x80, 0);
inline constexpr std::uint32_t kKvmGetRegs = number(2, kKvm, 0x81, 144);
inline constexpr std::uint32_t kKvmSetRegs = number(1, kKvm, 0x82, 144);
inline constexpr std::uint32_t kKvmGetSregs = number(2, kKvm, 0x83, 312);
inline constexpr std::uint32_t kKvmSetSregs = number(1, kKvm, 0x84, 312);
inline constexpr std::uint32_t kKvmGetMsrs = number(3, kKvm, 0x88, 8);
inline constexpr std::uint32_t kKvmSetMsrs = number(1, kKvm, 0x89, 8);
inline constexpr std::uint32_t kKvmSetCpuid = number(1, kKvm, 0x90, 8);
inline constexpr std::uint32_t kKvmSetupMce = number(1, kKvm, 0x9c, 8);
inline constexpr std::uint32_t kKvmClockControl = number(0, kKvm, 0xad, 0);
inline constexpr std::uint32_t kKvmStatsFd = number(0, kKvm, 0xce, 0);
inline constexpr std::uint32_t kKvmCreateDevice = number(3, kKvm, 0xe0, 12);
inline constexpr std::uint32_t kKvmSetDeviceAttribute = number(1, kKvm, 0xe1, 24);

// include/uapi/linux/vfio.h: VFIO_TYPE ';', VFIO_BASE 100; argument sizes are in the arguments.
constexpr std::uint32_t vfio(unsigned which) {
  return number(0, ';', 100 + which, 0);
}
inline constexpr std::uint32_t kVfioDeviceInfo = vfio(7);
inline constexpr std::uint32_t kVfioRegionInfo = vfio(8);
inline constexpr std::uint32_t kVfioIrqInfo = vfio(9);
inline constexpr std::uint32_t kVfioSetIrqs = vfio(10);
inline constexpr std::uint32_t kVfioReset = vfio(11);
inline constexpr std::uint32_t kVfioHotResetInfo = vfio(12);
inline constexpr std::uint32_t kVfioHotReset = vfio(13);
inline constexpr std::uint32_t kVfioMapDma = vfio(13);  ///< of a container: the same number
inline constexpr std::uint32_t kVfioUnmapDma = vfio(14);
inline constexpr std::uint32_t kVfioIoeventfd = vfio(16);

// include/uapi/linux/vhost.h: VHOST_VIRTIO 0xaf.
inline constexpr unsigned kVhost = 0xaf;
inline constexpr std::uint32_t kVhostSetFeatures = number(1, kVhost, 0x00, 8);
inline constexpr std::uint32_t kVhostSetMemory = number(1, kVhost, 0x03, 8);
inline constexpr std::uint32_t kVhostSetNumber = number(1, kVhost, 0x10, 8);
inline constexpr std::uint32_t kVhostSetAddress = number(1, kVhost, 0x11, 40);
inline constexpr std::uint32_t kVhostSetBase = number(1, kVhost, 0x12, 8);
inline constexpr std::uint32_t kVhostGetBase = number(3, kVhost, 0x12, 8);
inline constexpr std::uint32_t kVhostSetKick = number(1, kVhost, 0x20, 8);
inline constexpr std::uint32_t kVhostSetCall = number(1, kVhost, 0x21, 8);
inline constexpr std::uint32_t kVhostSetError = number(1, kVhost, 0x22, 8);
inline constexpr std::uint32_t kVhostNetSetBackend = number(1, kVhost, 0x30, 8);
inline constexpr std::uint32_t kVhostVsockSetCid = number(1, kVhost, 0x60, 8);
inline constexpr std::uint32_t kVhostVsockSetRunning = number(1, kVhost, 0x61, 4);

// include/uapi/linux/if_tun.h, fs.h, asm-generic/ioctls.h.
inline constexpr std::uint32_t kTunSetOffload = number(1, 'T', 208, 4);
inline constexpr std::uint32_t kTunGetInterface = number(2, 'T', 210, 4);
inline constexpr std::uint32_t kTunSetQueue = number(1, 'T', 217, 4);
inline constexpr std::uint32_t kBlockDiscard = number(0, 0x12, 119, 0);
inline constexpr std::uint32_t kBlockSize64 = number(2, 0x12, 114, 8);
inline constexpr std::uint32_t kTerminalGet = 0x5401;         ///< TCGETS
inline constexpr std::uint32_t kTerminalSet = 0x5402;         ///< TCSETS
inline constexpr std::uint32_t kTerminalSetDrained = 0x5403;  ///< TCSETSW
inline constexpr std::uint32_t kTerminalSetFlushed = 0x5404;  ///< TCSETSF
inline constexpr std::uint32_t kWindowSize = 0x5413;          ///< TIOCGWINSZ
inline constexpr std::uint32_t kNonBlocking = 0x5421;         ///< FIONBIO

}  // namespace gpuvm::sandbox::request
