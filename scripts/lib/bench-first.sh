#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench footprint that times gpuvm alone: RUNS times from exec to the first KVM_RUN of a guest without devices, 1
# GiB, and what reading its kernel and initrd costs by itself. Runs where /dev/kvm is: in the lab host, and on the machine itself, where
# a guest need not get far. Leaves FOLDER/NAME.N with lines NAME=VALUE: first_run and reads (s), own_ms (their difference in ms).
# SHIM and READER are built of tests/bench/calls.c and read_files.c; PROBE is of probe-kernel.sh.
# Usage: bench-first.sh NAME FOLDER RUNS GPUVM PROBE INITRD SHIM READER
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
. "$here/bench-counts.sh"
name=$1 folder=$2 runs=$3 guest_gpuvm=$4 probe=$5 initrd=$6 shim=$7 reader=$8
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT

# The guest stops with its first instructions; whether it says so does not matter here.
first() {
  local calls=$work/calls
  rm -f "$calls"
  launcher=(env "LD_PRELOAD=$shim" "GPUVM_BENCH_CALLS=$calls")
  prepare_place "$work"
  start_monitor gpuvm "$work"
  wait_line KERNEL-ENTERED 20 "$work" || true
  stop_monitor
  leave_place
  launcher=()
  { first_run_seconds "$calls" "$started"; "$reader" "$probe" "$initrd"; } >"$work/times"
  if ! grep -q '^first_run=' "$work/times"; then
    tail -n 5 "$work/log" >&2
    return 1
  fi
  cat "$work/times"
  awk -F = '{ v[$1] = $2 } END { printf "own_ms=%.2f\n", (v["first_run"] - v["reads"]) * 1000 }' "$work/times"
}

# What lies in a lab's $LAB_OUT is slow to read.
cp "$probe" "$work/kernel"
cp "$initrd" "$work/initrd"
cp "$shim" "$work/calls.so"
probe=$work/kernel initrd=$work/initrd shim=$work/calls.so
use_guest "$probe" "$initrd" 1024
for ((run = 0; run <= runs; run++)); do
  if first >"$work/result" 2>"$work/why"; then
    printf '  run %d  %-14s %s\n' "$run" "$name" "$(tr '\n' ' ' <"$work/result")"
    ((run == 0)) || cp "$work/result" "$folder/$name.$run"
  else
    printf '  run %d  %-14s failed: %s\n' "$run" "$name" "$(tail -n 1 "$work/why")"
    failed=1
    break
  fi
done
exit "$failed"
