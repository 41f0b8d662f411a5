#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A GPU whose hot reset fails, behind a port that its link never comes back to, while a function reset helps: the first reset finds
# that out, and none after it waits for the hot reset again; killed while its guest draws, and started again, it works.
# Environment: LAB_KILLS (default 2).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
export LAB_KILLS=${LAB_KILLS:-2}
# 0000:08:00.0. Of a port faster than 5 GT/s Linux wants to see the link come back after a bus reset, which the emulated one does not tell.
export LAB_QEMU_EXTRA="-device pcie-root-port,id=rp.deaf,bus=pcie.0,addr=0x9.0,chassis=8,slot=8 \
-device virtio-gpu-pci,id=deaf,bus=rp.deaf,iommu_platform=on"
inside none failed_reset.sh
