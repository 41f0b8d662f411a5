#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A tenth of scripts/soak: guests that reboot, run and stop, and are killed at random moments, again and again, with GPU and USB
# controller (soak_vgpu_test.sh: with render GPU and NVMe disk); every time drivers bind and devices work, and gpuvm does not grow.
# Environment: SOAK_REBOOTS, SOAK_RUNS, SOAK_KILLS (for each set of devices), SOAK_SETS, SOAK_SEED, SOAK_HOURS; SOAK_IOMMU
# (amd: takes QEMU of Debian sid).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
export LAB_SOAK_REBOOTS=${SOAK_REBOOTS:-5} LAB_SOAK_RUNS=${SOAK_RUNS:-2} LAB_SOAK_KILLS=${SOAK_KILLS:-2}
export LAB_SOAK_SEED=${SOAK_SEED:-$RANDOM}
status=0
for LAB_SOAK_SET in ${SOAK_SETS:-gpu,usb}; do
  export LAB_SOAK_SET
  fresh_out "$LAB_SOAK_SET${SOAK_IOMMU:+-$SOAK_IOMMU}"
  [[ ${SOAK_IOMMU:-intel} == intel ]] || optional --print-qemu sid || skip "$OPTIONAL"
  inside "$LAB_SOAK_SET" soak.sh --iommu "${SOAK_IOMMU:-intel}" --timeout $((3600 * ${SOAK_HOURS:-1})) || status=$?
done
exit "$status"
