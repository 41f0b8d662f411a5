#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm test with guests that give their word by vsock and by a file in a share, true or false, and with guests that flood every channel.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

command -v /usr/lib/qemu/virtiofsd >/dev/null \
  || { echo "/usr/lib/qemu/virtiofsd is missing; install as root: apt-get install qemu-system-common" >&2; exit 1; }
use_kernel 6.12
LAB_CHANNELS_INITRD=$(image_for 6.12 virtio_pci,virtio_console,vmw_vsock_virtio_transport,virtiofs,dmi-sysfs)
export LAB_CHANNELS_INITRD
fresh_out
cc -O1 -static -o "$OUT/vsock_echo" tests/lab/guest/vsock_echo.c
inside none job_words.sh
