#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_REBOOTS.
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/gpu_work.sh"

before=$(host_state)
make_work_guest main
start_guest main
wait_console '^READY' 300
printf 'start to a guest that is ready: %s s\n' "$(seconds_since "$started")"
type_line work
wait_console '^WORKED 1' 300
printf 'start to the end of its first work: %s s\n' "$(seconds_since "$started")"
for ((reboot = 1; reboot <= LAB_REBOOTS; reboot++)); do
  start_rendering "$reboot"
  rebooted=$EPOCHREALTIME
  type_line reboot
  wait_console '^READY' 300 $((reboot + 1))
  printf 'reboot %s to a guest that is ready: %s s\n' "$reboot" "$(seconds_since "$rebooted")"
  type_line work
  wait_console "^WORKED $((reboot + 1))" 300
done
start_rendering $((LAB_REBOOTS + 1))
type_line log
wait_console '^DMESG-END' 60
type_line off
wait_guest 180
grep -a 'Reset at' "$LOG"
grep -a '^RENDERER\|^VERSION\|^COMPUTE\|^GPU-WORK' "$CONSOLE"
copy_results
lives=$((LAB_REBOOTS + 1))
expect "power off while the GPU draws ends gpuvm with status 0" test "$guest_status" = 0
expect "the renderer is virgl, $lives times to work and $lives times to draw" said_times '^RENDERER virgl' $((2 * lives))
expect "the guest finds its $lives times 65536 numbers right" said_times '^COMPUTE 65536 numbers, 0 wrong' "$lives"
expect_not "no work has failed" guest_said '^GPU-WORK-FAILED'
expect "each reboot's reset is verified" test "$(grep -c 'Reset at reboot: .*, verified' "$LOG")" = "$LAB_REBOOTS"
check_dmesg
expect "nothing is left" state_is "$before"
finish
