#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A quiet boot to the guest's init with GPU, audio function and USB controller costs at most 6,500 VM exits. Exits for host
# interrupts are not counted: they measure the host's load; what remains repeats within a few per cent. For the time beside
# QEMU's see scripts/bench boot.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

LIMIT=6500

use_kernel 6.12
fresh_out
scripts/lab --devices gpu,usb --out "$OUT" --timeout 300 -- scripts/lib/measure-gpuvm.sh --gpuvm "$LAB_GPUVM" \
  --kernel "$LAB_GUEST_KERNEL" --initrd "$LAB_GUEST_INITRD" --console "$OUT/console" \
  0000:01:00.0 0000:01:00.1 0000:02:00.0 | tee "$OUT/result"
exits=$(sed -n 's/^net_exits=//p' "$OUT/result")
[[ $exits =~ ^[1-9][0-9]*$ ]] || { echo "NOT OK: no exits were counted"; exit 1; }
if ((exits > LIMIT)); then
  echo "NOT OK: $exits VM exits to init, more than $LIMIT"
  exit 1
fi
echo "ok: $exits VM exits to init, at most $LIMIT"
