#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_KILLS, how often gpuvm is killed while its guest draws.
. "$(dirname "$0")/../lib/inside.sh"

make_tile main
GUEST_CMDLINE=guest.end=reboot make_guest main '
until_true 20 test -e /sys/class/graphics/fb0 && show_pattern
draw() { while :; do dd if=/tmp/frame of=/dev/fb0 bs=64k count=8 2>/dev/null; usleep 20000; done; }
draw &
echo DRAWING
read -r word
kill $!
[ "$word" = reboot ] || poweroff -f
' <<'END_OF_CONFIG'
[[pci]]
host = "0000:08:00.0"
END_OF_CONFIG

# What gpuvm says to who watches many hosts.
host_says() { "$GPUVM" events --host >"$WORK/host.jsonl" && grep -q -- "$1" "$WORK/host.jsonl"; }
host_counts() { "$GPUVM" metrics --host >"$WORK/host.prom" && grep -qx -- "$1" "$WORK/host.prom"; }

rm -rf /run/gpuvm-resets
before=$(host_state)
start_guest main --events "$WORK/main.events"
wait_console '^DRAWING' 300
# An owner's process resets the card once more at the end, finds out for itself what helps, and has that in the card's history, in place of
# what the monitor does to it while the guest runs and at its stop.
in_log=1 in_history=3 found_out=1 moments=(start reboot stop)
! has_owner "$guest" || { in_log=2 in_history=2 found_out=2 moments=(start stop); }
expect "events --host: the guest has the card" host_says '"event":"card","card":"0000:08:00.0","state":"used","owner":"the guest main"'
expect "events --host: the guest runs" host_says '"event":"guest","guest":"main",.*"state":"running",.*"devices":\["0000:08:00.0"'
type_line reboot
wait_console '^DRAWING' 300 2
type_line off
wait_guest 180
grep -a 'Reset at\|hot reset' "$LOG"
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the hot reset fails, once: at the start (and once for an owner's process)" \
  test "$(grep -c 'warning: hot reset of 0000:08:00.0 was not enough: .*Inappropriate ioctl' "$LOG")" = $in_log
for moment in start reboot stop; do
  expect "$moment: a function reset helps" logged "Reset at $moment: 0000:08:00.0: function reset, verified"
done
expect "its event tells of the one that failed, at the start alone" \
  test "$(grep -c '"event":"reset".*before that: hot reset' "$WORK/main.events")" = 1

expect "events --host: the card is free again" host_says '"event":"card","card":"0000:08:00.0","state":"free"'
for moment in "${moments[@]}"; do
  expect "events --host: the reset at $moment was harder than usual" \
    host_says "\"card\":\"0000:08:00.0\",.*\"reason\":\"$moment\",\"method\":\"function reset\",\"usual\":\"hot reset\",\"harder\":true"
done
expect "events --host: what was tried before, once by each process" test "$(grep -c '"did_not_help":\["hot reset","link retraining"\]' "$WORK/host.jsonl")" = $found_out
expect "metrics --host: all of them were harder ones" host_counts "gpuvm_card_harder_resets_total{card=\"0000:08:00.0\"} $in_history"
expect "metrics --host: and none that failed" host_counts 'gpuvm_card_failed_resets_total{card="0000:08:00.0"} 0'

for ((kill = 1; kill <= LAB_KILLS; kill++)); do
  start_guest main
  wait_console '^DRAWING' 300
  pause 0.$((RANDOM % 10))
  kill_gpuvm "$guest"
  wait "$guest" 2>/dev/null || true
  expect "kill $kill: the device is marked dirty" grep -q '^dirty=.' /run/gpuvm/0000:08:00.0.state
done
((LAB_KILLS == 0)) || expect "after the kills: the card is dirty" host_says '"card":"0000:08:00.0","state":"dirty","owner":"the guest main"'
start_guest main
check_pattern main deaf
expect "after the kills: the start says that it repairs" logged '0000:08:00.0 was left dirty .*: it is repaired'
type_line off
wait_guest 180
expect "after the kills: power off ends gpuvm with status 0" test "$guest_status" = 0
expect "nothing is left" state_is "$before"
finish
