#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Cards that the host itself uses: a frame buffer in a BAR is named before anything is touched, and a driver that does not let go
# of its device is given up and named. A kernel module plays both; no guest runs.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
LAB_HOST_USE=$(scripts/lab --build-module 6.12 tests/lab/host/host_use)/host_use.ko
export LAB_HOST_USE
fresh_out
inside gpu,gpu2 host_use.sh
