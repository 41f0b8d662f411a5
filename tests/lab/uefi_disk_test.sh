#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# boot.mode = "uefi" from disks: GPT images with an EFI system partition on which Debian's systemd-boot, a kernel and an initrd
# are, beside a passed-through GPU and a USB controller; boot = true against the order of the disks; an entry that efibootmgr made
# in the guest, in the next run; an ISO image.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb uefi_disk.sh --timeout 1500
