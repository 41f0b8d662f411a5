#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_KILLS, how often gpuvm is killed while its guest draws.
. "$(dirname "$0")/../lib/inside.sh"

make_tile main
GUEST_CMDLINE=guest.end=reboot make_guest main '
until_true 20 test -e /sys/class/graphics/fb0 && show_pattern
while :; do dd if=/tmp/frame of=/dev/fb0 bs=1M count=3 2>/dev/null; done &
echo DRAWING
read -r word
[ "$word" = reboot ] || poweroff -f
' <<'END_OF_CONFIG'
[[pci]]
host = "0000:08:00.0"
END_OF_CONFIG

# tries: how often this run has tried the hot reset, in vain.
tries() { grep -c 'hot reset.*did not help\|hot reset.*failed' "$LOG"; }

before=$(host_state)
start_guest main --events "$WORK/main.events"
wait_console '^DRAWING' 300
type_line reboot
wait_console '^DRAWING' 300 2
type_line reboot
wait_console '^DRAWING' 300 3
type_line off
wait_guest 180
cat "$LOG" "$WORK/main.events"
tries
for ((kill = 1; kill <= LAB_KILLS; kill++)); do
  start_guest main
  wait_console '^DRAWING' 300
  kill -9 "$guest"
  wait "$guest" || true
done
start_guest main
check_pattern main deaf
type_line off
wait_guest 180
cat "$LOG"
expect "nothing is left" state_is "$before"
finish
