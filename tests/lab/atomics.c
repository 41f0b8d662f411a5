// SPDX-License-Identifier: Apache-2.0
// A library for tests/lab/first_card_test.sh: loaded before the others (LD_PRELOAD), it makes VFIO say of every device that the way to
// the host's memory completes AtomicOps of 32 and 64 bits (Linux, include/uapi/linux/vfio.h, VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP),
// which no root port that QEMU has does. The capability is all that this adds; the rest is the kernel's own answer.
#define _GNU_SOURCE
#include <linux/vfio.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

// Debian 12's header ends before these.
enum { kAtomicCompleters = 5, kComplete32 = 1, kComplete64 = 2, kHeader = 24 };

struct capability {
  struct vfio_info_cap_header header;
  uint32_t flags;
};

// As the kernel does: an argument that is too short for the capability gets the size that it takes.
static void add_capability(struct vfio_device_info* info, uint32_t room) {
  const struct capability capability = {{kAtomicCompleters, 1, 0}, kComplete32 | kComplete64};
  info->flags |= VFIO_DEVICE_FLAGS_CAPS;
  info->argsz = kHeader + sizeof capability;
  info->cap_offset = 0;
  if (room >= info->argsz) {
    info->cap_offset = kHeader;
    memcpy((char*)info + kHeader, &capability, sizeof capability);
  }
}

int ioctl(int fd, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const uint32_t room = request == VFIO_DEVICE_GET_INFO ? ((struct vfio_device_info*)argument)->argsz : 0;
  const int result = (int)syscall(SYS_ioctl, fd, request, argument);
  if (result == 0 && room >= sizeof(struct vfio_device_info)) {
    add_capability(argument, room);
  }
  return result;
}
