#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench sandbox that runs in the lab host: RUNS times gpuvm without a sandbox (off), with it (on), and with an
# owner's process besides (owner), in turn, to the guest's init and, with the kernel PROBE (scripts/lib/probe-kernel.sh), to the kernel's
# entry. Leaves $LAB_OUT/gpuvm-KIND.N and gpuvm-KIND-entry.N with lines METRIC=VALUE. At the guest's init each run has to show that what
# was asked for is in force: a sandbox that is not there costs nothing.
# Usage: bench-sandbox.sh RUNS MEMORY GPUVM KERNEL INITRD PROBE [BDF…]
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
. "$here/bench-counts.sh"
runs=$1 memory=$2 guest_gpuvm=$3 kernel=$4 initrd=$5 probe=$6
shift 6
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT
KINDS=(off on owner)

# set_kind KIND
set_kind() {
  kind=$1
  case $kind in
    off) guest_options=(--set sandbox.mode=off --set sandbox.owner=inside) ;;
    on) guest_options=(--set sandbox.mode=on --set sandbox.owner=inside) ;;
    owner) guest_options=(--set sandbox.mode=on --set sandbox.owner=process) ;;
  esac
}

# filters FILE: filters of system calls that a thread has, by its status (proc(5); Linux 5.9 and later).
filters() { sed -n 's/^Seccomp_filters:[[:space:]]*//p' "$1" 2>/dev/null || true; }

# count_threads PROCESS…: `threads`, and `filtered`, those of them with more filters than this shell has.
count_threads() {
  local process task own number
  threads=0 filtered=0
  own=$(filters /proc/self/status)
  for process in "$@"; do
    for task in "/proc/$process/task"/*; do
      number=$(filters "$task/status")
      threads=$((threads + 1))
      ((${number:-0} <= ${own:-0})) || filtered=$((filtered + 1))
    done
  done
}

# show_sandbox: what the processes of the running guest have, as lines METRIC=VALUE; status 1 where that is not what $kind means.
show_sandbox() {
  local process threads filtered
  local -a processes
  process=$(monitor_process)
  mapfile -t processes < <(processes_of "$process")
  count_threads "${processes[@]}"
  smaps_of "${processes[@]}" >"$work/smaps"
  private_kib "$work/smaps" "$guest_memory"
  printf 'processes=%d\nthreads=%d\nfiltered_threads=%d\n' "${#processes[@]}" "$threads" "$filtered"
  case $kind in
    off) ((filtered == 0)) ;;
    on) ((filtered > 0 && ${#processes[@]} == 1)) ;;
    owner) ((filtered > 0 && ${#processes[@]} == 2)) ;;
  esac && return 0
  printf '%s: %d processes, %d of %d threads with a filter: this is another sandbox\n' "$kind" "${#processes[@]}" "$filtered" "$threads" >&2
  return 1
}

touch_memory
initrd=$(local_copy "$initrd")
probe=$(local_copy "$probe")
use_guest "$kernel" "$initrd" "$(mebibytes "$memory")" "$@"
for ((run = 0; run <= runs; run++)); do
  # Each goes first in turn.
  for ((turn = 0; turn < ${#KINDS[@]}; turn++)); do
    set_kind "${KINDS[(run + turn) % ${#KINDS[@]}]}"
    measure "gpuvm-$kind" "$run" measure_start gpuvm GUEST-INIT-REACHED "$work" show_sandbox
    guest_kernel=$probe
    measure "gpuvm-$kind-entry" "$run" measure_start gpuvm KERNEL-ENTERED "$work"
    guest_kernel=$kernel
  done
done
exit "$failed"
