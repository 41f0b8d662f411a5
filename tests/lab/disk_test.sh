#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks (virtio-blk): a guest's bytes end in the file and survive its reboot, a read-only disk refuses, a file system of
# mke2fs mounts, a second guest is refused. Prints the VM exits per MiB.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
# Its own image: the usual one has no file system for disks, and more modules than a boot here should load.
LAB_DISK_INITRD=$REPO/build/lab/test-guest-6.12-disk.cpio.gz
if [[ ! -s $LAB_DISK_INITRD || scripts/guest-image -nt $LAB_DISK_INITRD || tests/lab/guest/init -nt $LAB_DISK_INITRD ]]; then
  scripts/guest-image --kernel 6.12 --out "$LAB_DISK_INITRD" --modules virtio_pci,virtio_blk,ext4 >&2
fi
export LAB_DISK_INITRD
fresh_out
inside none disk.sh
