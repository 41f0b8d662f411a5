#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The part of scripts/bench boot that runs in the lab host: RUNS times gpuvm, then QEMU, each with the same kernel, initrd,
# memory, command line and functions. Leaves $LAB_OUT/MONITOR.N with lines NAME=VALUE.
# Run 0 is only printed: it pays for cold caches and for memory that the lab host touches for the first time.
# Usage: bench-boot.sh RUNS MEMORY GPUVM KERNEL INITRD BDF…
set -euo pipefail

here=$(dirname "$0")
runs=$1 memory=$2 gpuvm=$3 kernel=$4 initrd=$5
shift 5
failed=0

# measure MONITOR RUN COMMAND…
measure() {
  local result=$LAB_OUT/$1.$2 monitor=$1 run=$2
  ((run > 0)) || result=$LAB_OUT/first-$1
  shift 2
  if "$@" >"$result.tmp"; then
    mv "$result.tmp" "$result"
    printf '  run %d  %-6s %s\n' "$run" "$monitor" "$(grep -E '^(seconds|net_exits|irq_exits)=' "$result" | tr '\n' ' ')"
  else
    printf '  run %d  %-6s failed\n' "$run" "$monitor"
    failed=1
  fi
}

for ((run = 0; run <= runs; run++)); do
  measure gpuvm "$run" "$here/measure-gpuvm.sh" --gpuvm "$gpuvm" --kernel "$kernel" --initrd "$initrd" --memory "$memory" "$@"
  measure qemu "$run" "$here/peer-qemu.sh" --kernel "$kernel" --initrd "$initrd" --memory "$memory" "$@"
done
exit $failed
