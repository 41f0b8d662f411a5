#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The programs that run for a guest, the real ones (qemu-storage-daemon, virtiofsd, passt), are confined: what /proc says of each,
# what gpuvm says of each, what a hostile one in the place of each can reach; and disks, folders and networks work all the same.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

for program in qemu-storage-daemon qemu-img /usr/lib/qemu/virtiofsd passt perl jq; do
  command -v "$program" >/dev/null \
    || { echo "$program is missing; install it as root: apt-get install qemu-system-common qemu-utils passt perl jq" >&2; exit 1; }
done
use_kernel 6.12
LAB_HELPERS_INITRD=$(image_for 6.12 virtio_pci,virtio_blk,virtio_net,virtiofs)
export LAB_HELPERS_INITRD
fresh_out
inside none helper_sandbox.sh
