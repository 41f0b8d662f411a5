#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What the soak says of a gpuvm that leaks (soak_leak.c): each of its figures must fail, and nothing else.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
export LAB_SOAK_SET=vgpu,nvme LAB_SOAK_REBOOTS=3 LAB_SOAK_RUNS=0 LAB_SOAK_KILLS=0 LAB_SOAK_SEED=1
fresh_out ''
export LAB_SOAK_LEAK=$OUT/soak_leak.so
gcc -O1 -Wall -Wextra -Werror -shared -fPIC -o "$LAB_SOAK_LEAK" tests/lab/soak_leak.c
inside "$LAB_SOAK_SET" soak.sh && { echo "NOT OK: the soak did not see the leak"; exit 1; }

failed=0
must_say() { grep -q -- "$1" "$OUT/output" && echo "ok: said: $1" || { echo "NOT OK: not said: $1" && failed=1; }; }
must_say '^NOT OK: files, threads, mappings, VMs and locked memory'
must_say '^NOT OK: no more heap in use after the reboots'
must_say '^NOT OK: private memory grew by less than 16 KiB'
must_say '^ok: reboot 3$'
must_say ' checks, 3 failed$'
# The file, thread, mapping and locked memory, in what gpuvm held after the second reboot and after the last.
for kind in ' /dev/zero$' ' leaked$' ' /memfd:leaked' '^VmLck:'; do
  held() { grep -E -- "$kind" "$OUT/holdings.$1"; }
  [[ $(held second) != "$(held last)" ]] && echo "ok: $(held second) became $(held last)" \
    || { echo "NOT OK: did not grow: $(held last)" && failed=1; }
done
exit "$failed"
