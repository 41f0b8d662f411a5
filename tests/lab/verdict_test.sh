#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm test: what comes of each way that a job can go, by the channels of a stock kernel; its artifacts; and after each of them the
# device is checked and back with its driver.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
LAB_VERDICT_INITRD=$(image_for 6.12 pvpanic,pvpanic_mmio,virtio_pci,virtio_console)
export LAB_VERDICT_INITRD
fresh_out
inside gpu,usb verdict.sh --timeout 1500
