#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks that qemu-storage-daemon serves: each format read and written, images below images, throwaway disks, a reboot; the daemon
# and gpuvm killed (DISK_KILLS and DISK_MONITOR_KILLS times) while the guest writes: what it had flushed is there, nothing is left
# running.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

for program in qemu-storage-daemon qemu-img; do
  command -v "$program" >/dev/null \
    || { echo "$program is missing; install it as root: apt-get install qemu-system-common qemu-utils" >&2; exit 1; }
done
use_kernel 6.12
LAB_DISK_FORMATS_INITRD=$(image_for 6.12 virtio_pci,virtio_blk)
LAB_DISK_KILLS=${DISK_KILLS:-4} LAB_DISK_MONITOR_KILLS=${DISK_MONITOR_KILLS:-3}
export LAB_DISK_FORMATS_INITRD LAB_DISK_KILLS LAB_DISK_MONITOR_KILLS
fresh_out
inside none disk_formats.sh --timeout 2400
