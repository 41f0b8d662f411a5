#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench boot that runs in the lab host: RUNS times gpuvm, then QEMU, each with the same kernel, initrd,
# memory, command line and functions. Leaves $LAB_OUT/MONITOR.N with lines NAME=VALUE.
# Usage: bench-boot.sh RUNS MEMORY GPUVM KERNEL INITRD BDF…
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
runs=$1 memory=$2 gpuvm=$3 kernel=$4 initrd=$5
shift 5

touch_memory
initrd=$(local_copy "$initrd")
for ((run = 0; run <= runs; run++)); do
  measure gpuvm "$run" "$here/measure-gpuvm.sh" --gpuvm "$gpuvm" --kernel "$kernel" --initrd "$initrd" --memory "$memory" "$@"
  measure qemu "$run" "$here/peer-qemu.sh" --kernel "$kernel" --initrd "$initrd" --memory "$memory" "$@"
done
exit "$failed"
