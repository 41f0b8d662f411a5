#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that owns GPU, USB controller, render GPU and NVMe disk behind an AMD IOMMU: pictures, keyboard, stick, the disk's bytes, a
# reboot. That takes QEMU of Debian sid; where there is none, an older one shows the GPU alone, and the rest is skipped.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
if optional --print-qemu sid; then
  LAB_AMD_DMA=yes inside gpu,usb,vgpu,nvme amd_iommu.sh --iommu amd
else
  LAB_AMD_DMA=no inside gpu amd_iommu.sh --iommu amd --qemu trixie
  skip "all but the GPU: $OPTIONAL"
fi
