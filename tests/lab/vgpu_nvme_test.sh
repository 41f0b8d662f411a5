#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that owns two devices with real DMA and MSI-X: a virtio GPU, whose picture is compared, and an NVMe disk.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside vgpu,nvme vgpu_nvme.sh
