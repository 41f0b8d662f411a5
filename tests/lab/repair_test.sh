#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who owns a device, and whether it is fit for the next owner: locks, dirty marks, repair, and what a stop leaves behind.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
# A GPU of two functions, each with a register that shows a reset. (QEMU resets the VGA function of "gpu" with the whole machine
# only; the second display controller is a device like any other.)
export LAB_QEMU_EXTRA='-set device.gpu2.multifunction=on -device intel-hda,id=gpu2-audio,bus=rp.gpu2,addr=0.1'
inside gpu,usb,nvme,gpu2 repair.sh
