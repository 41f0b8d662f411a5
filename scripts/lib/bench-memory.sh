#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench memory that runs in the lab host: for each size (MiB) RUNS times each monitor in turn to the guest's init,
# with functions, for which all of the memory is allocated and pinned. gpuvm twice: beside the guest's boot (gpuvm), and before it
# (gpuvm-before, machine.pin_memory), which shows all of the cost in the time. Leaves $LAB_OUT/MONITOR-MIB.N.
# Usage: bench-memory.sh RUNS SIZES GPUVM KERNEL INITRD BDF…
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
runs=$1 sizes=$2 guest_gpuvm=$3 kernel=$4 initrd=$5
shift 5
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT

one() {
  local monitor=$1 size=$2 run=$3
  guest_memory=$size guest_keys=()
  [[ $monitor != gpuvm ]] || guest_keys=('pin_memory = "background"')
  measure "$monitor-$size" "$run" measure_start "$monitor" GUEST-INIT-REACHED "$work"
  [[ $monitor == gpuvm ]] || return 0
  guest_keys=('pin_memory = "before-start"')
  measure "gpuvm-before-$size" "$run" measure_start gpuvm GUEST-INIT-REACHED "$work"
}

touch_memory
initrd=$(local_copy "$initrd")
use_guest "$kernel" "$initrd" 1024 "$@"
choose_monitors
for ((run = 0; run <= runs; run++)); do
  set_order "$run"
  for size in $sizes; do
    for monitor in "${order[@]}"; do
      one "$monitor" "$size" "$run"
    done
  done
done
exit "$failed"
