#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a guest has besides disks and networks: random numbers, vsock, the virtio console on a terminal, shared folders. All of it
# before and after a reboot; a killed virtiofsd ends the run, and a killed gpuvm leaves no virtiofsd.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

for program in /usr/lib/qemu/virtiofsd script; do
  command -v "$program" >/dev/null || { echo "$program is missing; install as root: apt-get install qemu-system-common bsdutils" >&2; exit 1; }
done
use_kernel 6.12
LAB_DEVICES_INITRD=$(image_for 6.12 virtio_pci,virtio-rng,vmw_vsock_virtio_transport,virtio_console,virtiofs)
export LAB_DEVICES_INITRD
fresh_out
cc -O1 -static -o "$OUT/vsock_echo" tests/lab/guest/vsock_echo.c
inside none guest_devices.sh
