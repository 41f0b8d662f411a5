#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR disable=SC2034,SC2317
# The part of scripts/bench footprint that runs in the lab host: RUNS times each monitor in turn, whose guest has booted, has its drivers
# and does nothing: private memory, threads, descriptors; then for SECONDS exits and wake-ups. And, without devices, what is touched
# of the guest's memory before the kernel is entered (PROBE). Leaves $LAB_OUT/MONITOR.N and MONITOR-entry.N.
# Usage: bench-footprint.sh RUNS SECONDS MEMORY GPUVM KERNEL INITRD PROBE [BDF…]
# (SC2034, SC2317: measure and bench-monitors.sh use these variables and functions.)
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
. "$here/read-line.sh"
. "$here/is-running.sh"
. "$here/bench-monitors.sh"
. "$here/bench-counts.sh"
runs=$1 seconds=$2 memory=$3 guest_gpuvm=$4 kernel=$5 initrd=$6 probe=$7
shift 7
functions=("$@")
work=$(mktemp -d)
trap 'stop_monitor; rm -rf "$work"' EXIT
exec {nothing}<> <(:)

pause() { read -r -t "$1" <&"$nothing" || true; }

# wake_ups PROCESS…: how often threads that are no vCPU went to sleep, in all. (gpuvm calls its vCPUs' threads vcpu-N, QEMU CPU N/KVM,
# kvmtool kvm-vcpu-N, Cloud Hypervisor vcpuN, Firecracker fc_vcpu N.)
wake_ups() {
  local task name sum=0 key value
  local -a tasks=("${@/#//proc/}")
  # shellcheck disable=SC2068
  for task in ${tasks[@]/%//task/*}; do
    { read -r name <"$task/comm"; } 2>/dev/null || continue
    [[ $name != *vcpu* && $name != CPU\ * ]] || continue
    while IFS=$':\t ' read -r key value; do
      [[ $key != voluntary_ctxt_switches ]] || sum=$((sum + value))
    done 2>/dev/null <"$task/status" || true
  done
  echo "$sum"
}

# idle MONITOR: a guest that does nothing, as lines METRIC=VALUE. monitor_exits are those that the monitor has a part in: ports and
# memory that it emulates, and its signals; the others are the guest's own timer's and the host's.
idle() {
  local process before_wakes after_wakes
  local -a processes
  ((${#guest_functions[@]} == 0)) || lab-bind "${guest_functions[@]}"
  prepare_place "$work"
  start_monitor "$1" "$work"
  wait_line BENCH-IDLE 300 "$work" || { fail_run "$work" "$1: the guest did not come to rest"; return 1; }
  process=$(monitor_process)
  if [[ -z ${LAB_BENCH_NO_WAIT:-} ]]; then pause 5; else pause 0.5; fi
  print_process "$process"
  mapfile -t processes < <(processes_of "$process")
  read_counters before
  before_wakes=$(wake_ups "${processes[@]}")
  pause "$seconds"
  after_wakes=$(wake_ups "${processes[@]}")
  read_counters after
  print_counters before after >"$work/counters"
  stop_monitor
  leave_place
  awk -F = '{ print "idle_" $0; v[$1] = $2 } END { printf "monitor_exits=%d\n", v["io_exits"] + v["mmio_exits"] + v["signal_exits"] }' \
    "$work/counters"
  printf 'wake_ups=%d\nseconds=%d\n' $((after_wakes - before_wakes)) "$seconds"
}

# entry MONITOR: what the process has when it enters the kernel, without devices: guest_pages were touched until then.
entry() {
  prepare_place "$work"
  start_monitor "$1" "$work"
  wait_line KERNEL-ENTERED 120 "$work" || { fail_run "$work" "$1: the kernel was not entered"; return 1; }
  print_process "$(monitor_process)"
  stop_monitor
  leave_place
}

touch_memory
idle_initrd=$(add_script "$initrd" "$work" 'echo BENCH-IDLE; sleep 100000')
use_guest "$kernel" "$idle_initrd" "$(mebibytes "$memory")" "${functions[@]}"
choose_monitors
for ((run = 1; run <= runs; run++)); do
  set_order "$run"
  for monitor in "${order[@]}"; do
    guest_kernel=$kernel guest_functions=("${functions[@]}")
    measure "$monitor" "$run" idle "$monitor"
    guest_kernel=$probe guest_functions=()
    # Firecracker takes no packed kernel, and so not this one.
    [[ $monitor == firecracker ]] || measure "$monitor-entry" "$run" entry "$monitor"
  done
done
exit "$failed"
