#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench many that runs in the lab host: RUNS times eight guests, each with a device of its own (the last has none),
# one after the other, and the first N of them at once, N = 1, 2, 4, 8; for each monitor. And, of gpuvm, one guest with all of these
# devices. Leaves $LAB_OUT/MONITOR-N.RUN with lines NAME=VALUE: seconds and first (the last and the first init), serial (the same
# guests one after the other), cores, share (seconds by serial divided by the cores); and $LAB_OUT/gpuvm-one.RUN.
# Usage: bench-many.sh RUNS MEMORY GPUVM KERNEL INITRD
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
runs=$1 memory=$2 guest_gpuvm=$3 kernel=$4 initrd=$5
work=$(mktemp -d)
trap 'stop_all; stop_monitor; rm -rf "$work"' EXIT
SIZES=(1 2 4 8)
# The lab's devices (docs/lab.md).
SLOTS=("0000:01:00.0 0000:01:00.1" 0000:02:00.0 0000:03:00.0 0000:04:00.0 0000:05:00.0 0000:06:00.0 0000:07:00.0 "")
guests=() readers=()

stop_all() {
  end_processes "${guests[@]}" "${readers[@]}"
  guests=() readers=()
}

# watch NUMBER FOLDER: tells the moment of the guest's init, and reads on, so that the guest need not wait.
watch() {
  local line console
  exec {console}<>"$2/out"
  while IFS= read -r line <&"$console"; do
    [[ $line == *GUEST-INIT-REACHED* ]] || continue
    printf '%d %s\n' "$1" "$EPOCHREALTIME" >"$work/news"
    break
  done
  exec cat <&"$console" >/dev/null
}

# prepare_guest NUMBER
prepare_guest() {
  local folder=$work/$1
  mkdir -p "$folder"
  [[ -p $folder/out ]] || mkfifo "$folder/out"
  watch "$1" "$folder" &
  readers+=($!)
}

# start_guest MONITOR NUMBER
start_guest() {
  local folder=$work/$2
  read -r -a guest_functions <<<"${SLOTS[$2]}"
  guest_name=bench-$2
  set_command "$1" "$folder"
  "${command[@]}" <"$work/in" >"$folder/out" 2>"$folder/log" &
  guests+=($!)
}

# start_together MONITOR COUNT [FIRST]: so many guests from the number FIRST (0) on; their inits' moments in $work/moments, lines NUMBER
# TIME, and their common start in `began`.
start_together() {
  local number first=${3:-0} end=$((SECONDS + 600))
  : >"$work/moments"
  for ((number = first; number < first + $2; number++)); do
    [[ -z ${SLOTS[$number]} ]] || read -r -a guest_functions <<<"${SLOTS[$number]}"
    [[ -z ${SLOTS[$number]} ]] || lab-bind "${guest_functions[@]}"
    prepare_guest "$number"
  done
  began=$EPOCHREALTIME
  for ((number = first; number < first + $2; number++)); do start_guest "$1" "$number"; done
  while (($(wc -l <"$work/moments") < $2)); do
    if ((SECONDS >= end)); then
      tail -n 3 "$work"/*/log >&2
      stop_all
      return 1
    fi
    ! read_line "$news" 5 || printf '%s\n' "$line" >>"$work/moments"
  done
  stop_all
}

# span WHICH: of $work/moments, from `began` to the last (max) or first (min).
span() {
  awk -v a="$began" -v which="$1" '{ t = $2 - a; if (NR == 1 || (which == "max" ? t > s : t < s)) s = t } END { printf "%.3f", s }' \
    "$work/moments"
}

# alone MONITOR: each guest by itself; its seconds in alone_seconds[NUMBER].
alone() {
  local number
  alone_seconds=()
  for ((number = 0; number < ${#SLOTS[@]}; number++)); do
    wait_until_idle
    start_together "$1" 1 "$number" || return 1
    alone_seconds+=("$(span max)")
  done
}

# together MONITOR COUNT: prints lines NAME=VALUE.
together() {
  wait_until_idle
  start_together "$1" "$2" || return 1
  awk -v last="$(span max)" -v first="$(span min)" -v cores="$(nproc)" -v times="${alone_seconds[*]:0:$2}" 'BEGIN {
    n = split(times, t, " ")
    for (i = 1; i <= n; i++) serial += t[i]
    printf "seconds=%.3f\nfirst=%.3f\nserial=%.3f\ncores=%d\nshare=%.3f\n", last, first, serial, cores, last / (serial / cores) }'
  sort -k 2 "$work/moments" | awk -v a="$began" '{ printf "guest_%d=%.3f\n", $1, $2 - a }'
}

# all_in_one: one guest with all devices; with gpuvm's own account of the time.
all_in_one() {
  read -r -a guest_functions <<<"${SLOTS[*]}"
  guest_name=bench-all
  measure_phases GUEST-INIT-REACHED "$work/all"
}

# one MONITOR RUN
one() {
  local monitor=$1 run=$2 size
  if ! alone "$monitor"; then
    failed=1
    return 0
  fi
  for size in "${SIZES[@]}"; do
    if together "$monitor" "$size" >"$work/result"; then
      printf '  run %d  %-10s %d at once  %s\n' "$run" "$monitor" "$size" "$(grep -E '^(seconds|serial|share)=' "$work/result" | tr '\n' ' ')"
      cp "$work/result" "$LAB_OUT/$monitor-$size.$run"
    else
      failed=1
    fi
  done
}

touch_memory
initrd=$(local_copy "$initrd")
use_guest "$kernel" "$initrd" "$(mebibytes "$memory")"
mkfifo "$work"/{in,news}
exec {news}<>"$work/news" {nothing}<>"$work/in" # the guests' input: nothing, and no end
choose_monitors
for ((run = 1; run <= runs; run++)); do
  set_order "$run"
  for monitor in "${order[@]}"; do
    # Firecracker and microvm are among them without functions, and cannot take those of SLOTS.
    [[ $monitor == microvm || $monitor == firecracker ]] || one "$monitor" "$run"
  done
  measure gpuvm-one "$run" all_in_one
done
exit "$failed"
