#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest with the fake GPU of a vfio-user server: registers, VRAM, DMA, MSI, resets, reboot; servers that leave, report errors
# or do not come back from a reset. Needs no device of the lab host.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

export LAB_FAKE_GPU=${LAB_FAKE_GPU:-$(dirname "$LAB_GPUVM")/tests/fake_gpu/fake_gpu}
[[ -x $LAB_FAKE_GPU ]] || { echo "$LAB_FAKE_GPU is missing; build the target fake_gpu, for instance with the preset ci" >&2; exit 1; }
use_kernel 6.12
fresh_out
cc -static -O2 -o "$OUT/bar_write" tests/lab/guest/bar_write.c
inside gpu vfio_user.sh
