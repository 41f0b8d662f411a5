// SPDX-License-Identifier: Apache-2.0
// The keeper of the lab host: holds one idle VM (in-kernel interrupt controllers, one vCPU) for the lab's whole life, and
// writes a byte to the heartbeat file every five seconds.
//
// Why: KVM flips static keys when the first VM appears and the last one goes. The kernel then patches its own text through
// int3, and QEMU's TCG sometimes executes a stale int3: the lab host dies in __schedule. While a VM exists nothing flips.
// Usage: keeper HEARTBEAT_FILE READY_FILE

#include <fcntl.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int check(int result, const char *what) {
  if (result < 0) {
    perror(what);
    exit(1);
  }
  return result;
}

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: keeper HEARTBEAT_FILE READY_FILE\n");
    return 2;
  }
  int heartbeat = check(open(argv[1], O_WRONLY | O_CLOEXEC), argv[1]);
  int kvm = check(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
  int vm = check(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");
  check(ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000), "KVM_SET_TSS_ADDR");
  check(ioctl(vm, KVM_CREATE_IRQCHIP, 0), "KVM_CREATE_IRQCHIP");
  check(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
  check(open(argv[2], O_WRONLY | O_CREAT | O_CLOEXEC, 0644), argv[2]);
  for (;;) {
    check((int)write(heartbeat, ".", 1), "heartbeat");
    sleep(5);
  }
}
