#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A device with a BAR of 16 GiB: where it is, whether the guest reaches all of it, and what it costs at boot.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
cc -static -O2 -o "$OUT/bar_write" tests/lab/guest/bar_write.c
inside bar=16G large_bar.sh
rm -f "$OUT/bar.mem"
