#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The part of scripts/bench boot that runs in the lab host: RUNS times gpuvm, then QEMU, each with the same kernel, initrd,
# memory, command line and functions. Leaves $LAB_OUT/MONITOR.N with lines NAME=VALUE.
# Usage: bench-boot.sh RUNS GPUVM KERNEL INITRD BDF…
set -euo pipefail

here=$(dirname "$0")
runs=$1 gpuvm=$2 kernel=$3 initrd=$4
shift 4
failed=0

# measure MONITOR RUN COMMAND…
measure() {
  local result=$LAB_OUT/$1.$2 monitor=$1 run=$2
  shift 2
  if "$@" >"$result.tmp"; then
    mv "$result.tmp" "$result"
    printf '  run %d  %-6s %s\n' "$run" "$monitor" "$(grep -E '^(seconds|net_exits|irq_exits)=' "$result" | tr '\n' ' ')"
  else
    printf '  run %d  %-6s failed\n' "$run" "$monitor"
    failed=1
  fi
}

for ((run = 1; run <= runs; run++)); do
  measure gpuvm "$run" "$here/measure-gpuvm.sh" --gpuvm "$gpuvm" --kernel "$kernel" --initrd "$initrd" "$@"
  measure qemu "$run" "$here/peer-qemu.sh" --kernel "$kernel" --initrd "$initrd" "$@"
done
exit $failed
