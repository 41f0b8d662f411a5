#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench bar that runs in the lab host: RUNS times gpuvm to the guest's init without and with the function LARGE, whose
# BAR has SIZE, beside the others; of the peers once each with it, where PEERS is 1, since each GiB costs them seconds. Leaves
# $LAB_OUT/gpuvm-without-SIZE.N and MONITOR-SIZE.N.
# Usage: bench-bar.sh RUNS SIZE PEERS MEMORY GPUVM KERNEL INITRD LARGE [BDF…]
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
runs=$1 size=$2 with_peers=$3 memory=$4 guest_gpuvm=$5 kernel=$6 initrd=$7 large=$8
shift 8
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT

without() {
  guest_functions=("${small[@]}")
  measure "gpuvm-without-$size" "$1" measure_start gpuvm GUEST-INIT-REACHED "$work"
}

with_bar() {
  guest_functions=("${small[@]}" "$large")
  measure "$1-$size" "$2" measure_start "$1" GUEST-INIT-REACHED "$work"
}

touch_memory
initrd=$(local_copy "$initrd")
use_guest "$kernel" "$initrd" "$(mebibytes "$memory")" "$@"
small=("$@")
choose_monitors
for ((run = 0; run <= runs; run++)); do
  # Each goes first in turn.
  if ((run % 2)); then without "$run" && with_bar gpuvm "$run"; else with_bar gpuvm "$run" && without "$run"; fi
done
if ((with_peers)); then
  for monitor in "${wanted[@]:1}"; do
    with_bar "$monitor" 1
  done
fi
exit "$failed"
