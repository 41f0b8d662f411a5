#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench reboot that runs in the lab host: RUNS times each monitor in turn, whose guest, with its drivers loaded,
# reboots CYCLES times and once before, which is not counted; from its command to the next life's init. Leaves $LAB_OUT/MONITOR.N, a
# file for each reboot.
# Usage: bench-reboot.sh RUNS CYCLES MEMORY GPUVM KERNEL INITRD [BDF…]
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
runs=$1 cycles=$2 memory=$3 guest_gpuvm=$4 kernel=$5 initrd=$6
shift 6
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT

# reboot_cycle MONITOR FILE: one reboot of the running guest.
reboot_cycle() {
  local asked
  wait_line BENCH-REBOOT 300 "$work" || return 1
  asked=$reached
  read_counters before
  wait_line GUEST-INIT-REACHED 300 "$work" || return 1
  read_counters after
  { print_seconds "$asked" "$reached"; print_counters before after; } >"$2"
}

# one MONITOR RUN
one() {
  local monitor=$1 run=$2 cycle number
  wait_until_idle
  ((${#guest_functions[@]} == 0)) || lab-bind "${guest_functions[@]}"
  prepare_place "$work"
  start_monitor "$monitor" "$work"
  for ((cycle = 0; cycle <= cycles; cycle++)); do
    if ! reboot_cycle "$monitor" "$work/result"; then
      fail_run "$work" "$monitor: its guest did not come back"
      failed=1
      return 0
    fi
    number=$(((run - 1) * cycles + cycle))
    printf '  run %d  %-12s reboot %d  %s\n' "$run" "$monitor" "$cycle" "$(grep -E '^(seconds|net_exits)=' "$work/result" | tr '\n' ' ')"
    ((cycle == 0)) || cp "$work/result" "$LAB_OUT/$monitor.$number"
  done
  stop_monitor
  leave_place
}

touch_memory
initrd=$(add_script "$initrd" "$work" 'echo BENCH-REBOOT; reboot -f')
use_guest "$kernel" "$initrd" "$(mebibytes "$memory")" "$@"
guest_reboots=1
choose_monitors
for ((run = 1; run <= runs; run++)); do
  set_order "$run"
  for monitor in "${order[@]}"; do
    one "$monitor" "$run"
  done
done
exit "$failed"
