#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench dma that runs in the lab host: RUNS times each monitor in turn, whose guest works steadily with what it
# owns: it writes pictures to the GPU's frame buffer, and reads and writes an NVMe disk at random, one request at a time and 32 at once.
# Leaves $LAB_OUT/MONITOR-PHASE.N with lines NAME=VALUE: requests, iops, exits_each (for each request), and all of KVM's counters for the
# phase; mmio_exits are those that reach the monitor: accesses to a mapped BAR are none.
# Usage: bench-dma.sh RUNS SECONDS MEMORY GPUVM KERNEL INITRD FB_BENCH DISK_BENCH BDF…
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
runs=$1 seconds=$2 memory=$3 guest_gpuvm=$4 kernel=$5 initrd=$6 fb_bench=$7 disk_bench=$8
shift 8
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT
PHASES=5

guest_script() {
  cat <<END_OF_SCRIPT
until [ -b /dev/nvme0n1 ] && [ -c /dev/fb0 ]; do sleep 1; done
for phase in "read 1" "write 1" "read 32" "write 32"; do
  sleep 1
  echo "PHASE nvme-\${phase% *}-\${phase#* }"
  /disk_bench /dev/nvme0n1 \$phase $seconds
done
sleep 1
echo PHASE fb
/fb_bench /dev/fb0 $seconds
sleep 1000
END_OF_SCRIPT
}

# one_phase MONITOR RUN: the next phase of the running guest.
one_phase() {
  local phase
  wait_line PHASE 300 "$work" || return 1
  phase=${line#*PHASE }
  read_counters before
  wait_line REQUESTS 300 "$work" || return 1
  read_counters after
  print_counters before after >"$work/counters"
  awk -v line="${line#*REQUESTS }" -F = '{ print } $1 == "net_exits" { exits = $2 } END {
    split(line, word, " ")
    printf "requests=%d\nseconds=%s\niops=%.2f\nexits_each=%.3f\n", word[1], word[3], word[1] / word[3], exits / word[1] }' \
    "$work/counters" >"$work/result"
  printf '  run %d  %-8s %-14s %s\n' "$2" "$1" "$phase" "$(grep -E '^(iops|exits_each|mmio_exits)=' "$work/result" | sort -r | tr '\n' ' ')"
  (($2 == 0)) || cp "$work/result" "$LAB_OUT/$1-$phase.$2"
}

# one MONITOR RUN
one() {
  local phase
  wait_until_idle
  lab-bind "${guest_functions[@]}"
  prepare_place "$work"
  start_monitor "$1" "$work"
  for ((phase = 0; phase < PHASES; phase++)); do
    if ! one_phase "$@"; then
      fail_run "$work" "$1: its guest did not do its work"
      failed=1
      return 0
    fi
  done
  stop_monitor
  leave_place
}

touch_memory
initrd=$(add_script "$initrd" "$work" "$(guest_script)" "$fb_bench" "$disk_bench")
use_guest "$kernel" "$initrd" "$(mebibytes "$memory")" "$@"
choose_monitors
for ((run = 0; run <= runs; run++)); do
  set_order "$run"
  for monitor in "${order[@]}"; do
    one "$monitor" "$run"
  done
done
exit "$failed"
