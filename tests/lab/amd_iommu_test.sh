#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that owns a GPU behind an AMD IOMMU. (QEMU's model of it loses the DMA of other devices: see docs/lab.md.)
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu amd_iommu.sh --iommu amd
