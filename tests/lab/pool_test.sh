#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Warm guests: a pool is filled, emptied and refilled, its guests, its takers and the pool itself are killed, and nothing is left; two
# guests never share random numbers or a MAC address, and of a whole Debian neither a machine id nor a host key of ssh, and a job in one
# that waits is over long before one that has to boot. With `gpuvm attach` a card is plugged in for it.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"
. tests/lab/lib/node_image.sh

command -v qemu-storage-daemon >/dev/null \
  || { echo "qemu-storage-daemon is missing; install as root: apt-get install qemu-system-common" >&2; exit 1; }
use_kernel 6.12
LAB_POOL_INITRD=$(image_for 6.12 virtio_pci,virtio_console,virtio_net,button,evdev)
export LAB_POOL_INITRD
status=0
fresh_out
inside none pool.sh || status=1
use_node_image
fresh_out node
inside nvme pool_node.sh --memory 7G --timeout 1800 || status=1
exit "$status"
