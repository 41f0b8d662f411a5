#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_KILLS; LAB_RENDER_DEVICE, vgl=deaf or vgl.
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/gpu_work.sh"

# What each reset must say: on the deaf port the hot reset is warned of once in a gpuvm's life.
helpful='hot reset' warnings=0
[[ $LAB_RENDER_DEVICE == vgl ]] || helpful='function reset' warnings=1

# resets_remember WHAT MOMENT…: of the gpuvm that runs or has ended.
resets_remember() {
  local moment what=$1
  shift
  grep -a 'Reset at\|hot reset' "$LOG"
  for moment in "$@"; do
    expect "$what: at $moment a $helpful helps" logged "Reset at $moment: 0000:03:00.0: $helpful, verified"
  done
  expect "$what: of the hot reset gpuvm warns $warnings times" \
    test "$(grep -c 'warning: hot reset of 0000:03:00.0 was not enough' "$LOG")" = "$warnings"
}

kill_while_rendering() {
  pause 0.$((RANDOM % 10))
  kill_gpuvm "$guest"
  wait "$guest" 2>/dev/null || true
  expect "kill $1: the device is marked dirty" grep -q '^dirty=.' /run/gpuvm/0000:03:00.0.state
}

before=$(host_state)
make_work_guest main
start_guest main
wait_console '^READY' 300
start_rendering
type_line reboot
wait_console '^READY' 300 2
start_rendering 2
resets_remember "the first gpuvm" start reboot
kill_while_rendering 1
for ((kill = 2; kill <= LAB_KILLS + 1; kill++)); do
  start_guest main
  wait_console '^READY' 300
  printf 'start %s, after a kill: ready after %s s\n' "$kill" "$(seconds_since "$started")"
  expect "start $kill says that it repairs" logged '0000:03:00.0 was left dirty .*: it is repaired'
  type_line work
  wait_console "^WORKED $((kill - 1))" 300
  ((kill <= LAB_KILLS)) || break
  start_rendering
  kill_while_rendering "$kill"
done
start_rendering
# An owner's process, which resets the GPU once more at the end, finds out for itself that the hot reset does not help.
! has_owner "$guest" || warnings=$((2 * warnings))
type_line off
wait_guest 180
copy_results
resets_remember "the last gpuvm" start stop
expect "after the kills: power off while the GPU draws ends gpuvm with status 0" test "$guest_status" = 0
expect "the renderer is virgl" said_times '^RENDERER virgl' 2
expect_not "no work has failed" guest_said '^GPU-WORK-FAILED'
expect "nothing is left" state_is "$before"
finish
