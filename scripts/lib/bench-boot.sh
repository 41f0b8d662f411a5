#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench boot that runs in the lab host: RUNS times each monitor of LAB_BENCH_PEERS and gpuvm, in turn, each with the
# same kernel, initrd, memory, command line and functions, to the guest's init; and, with PROBE, to the kernel's entry
# (scripts/lib/probe-kernel.sh). Leaves $LAB_OUT/MONITOR.N and MONITOR-entry.N with lines NAME=VALUE; and gpuvm-unpacked.N, of gpuvm with
# boot.decompress = "host", right after gpuvm. With SHIM (tests/bench/calls.c) each monitor is started once more, after all that is timed,
# to count: MONITOR-counts.1; and gpuvm for its events, and for what its devices counted: gpuvm-phases.1.
# Usage: bench-boot.sh RUNS MEMORY GPUVM KERNEL INITRD PROBE|- SHIM|- [BDF…]
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
. "$here/bench-counts.sh"
runs=$1 memory=$2 guest_gpuvm=$3 kernel=$4 initrd=$5 probe=$6 shim=$7
shift 7
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT

# start_unpacked RUN: the kernel does not unpack itself.
start_unpacked() {
  guest_options=(--set boot.decompress=host)
  measure gpuvm-unpacked "$1" measure_start gpuvm GUEST-INIT-REACHED "$work"
  guest_options=()
}

touch_memory
initrd=$(local_copy "$initrd")
[[ $probe == - ]] || probe=$(local_copy "$probe")
use_guest "$kernel" "$initrd" "$(mebibytes "$memory")" "$@"
choose_monitors
for ((run = 0; run <= runs; run++)); do
  set_order "$run"
  for monitor in "${order[@]}"; do
    measure "$monitor" "$run" measure_start "$monitor" GUEST-INIT-REACHED "$work"
    [[ $monitor != gpuvm ]] || start_unpacked "$run"
  done
  [[ $probe != - ]] || continue
  guest_kernel=$probe
  for monitor in "${order[@]}"; do
    # Firecracker takes no packed kernel, and so not this one.
    [[ $monitor == firecracker ]] || measure "$monitor-entry" "$run" measure_start "$monitor" KERNEL-ENTERED "$work"
  done
  guest_kernel=$kernel
done
if [[ $shim != - ]]; then
  cp "$shim" "$work/calls.so"
  shim=$work/calls.so
  measure gpuvm-phases 1 measure_phases GUEST-INIT-REACHED "$work" count_devices
  for monitor in "${wanted[@]}"; do
    measure "$monitor-counts" 1 count_start "$monitor" GUEST-INIT-REACHED "$work"
  done
fi
exit "$failed"
