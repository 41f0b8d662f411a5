#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What drivers of real cards want of the machine: four GPUs and a USB controller, written down plainly and the USB controller first,
# with a bus for each GPU and a bus reset that no neighbour feels; AtomicOps as VFIO says; write combining, with an old kernel, too; a
# clock that wakes.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.1
fresh_out
export LAB_ATOMICS=$OUT/atomics.so
gcc -O1 -Wall -Wextra -Werror -shared -fPIC -o "$LAB_ATOMICS" tests/lab/atomics.c
# The fourth GPU, behind a root port of its own: 0000:08:00.0.
export LAB_QEMU_EXTRA="-device pcie-root-port,x-speed=5,id=rp.gpu3,bus=pcie.0,addr=0x9.0,chassis=8,slot=8 \
-device secondary-vga,id=gpu3,bus=rp.gpu3"
inside gpu,usb,vgpu,gpu2 first_card.sh
