#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that owns a GPU behind an AMD IOMMU. With LAB_AMD_DMA=yes the lab host is QEMU of Debian sid, whose model keeps the DMA of
# other devices: USB controller, render GPU and NVMe disk, too; pictures, keyboard, stick, the disk's bytes, a reboot. That is not the
# default, since guests there hung twice under load, for a reason that is not known yet: see docs/limits.md.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
if [[ ${LAB_AMD_DMA:-no} == yes ]]; then
  LAB_AMD_DMA=yes inside gpu,usb,vgpu,nvme amd_iommu.sh --iommu amd
else
  LAB_AMD_DMA=no inside gpu amd_iommu.sh --iommu amd --qemu trixie
fi
