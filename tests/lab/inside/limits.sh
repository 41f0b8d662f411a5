#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# A kernel of one instruction, which faults without a table of handlers: a triple fault, at once, again and again.
perl -e 'print "\x7fELF", pack("CCCx9", 2, 1, 1), pack("SSLQQQLSSSSSS", 2, 62, 1, 0x1000000, 64, 0, 0, 64, 56, 1, 0, 0, 0),
  pack("LLQQQQQQ", 1, 5, 0x1000, 0x1000000, 0x1000000, 2, 2, 0x1000), "\0" x (0x1000 - 64 - 56), "\x0f\x0b"' >"$WORK/loop.elf"
# shellcheck disable=SC2034 # make_guest reads both
GUEST_KERNEL=$WORK/loop.elf GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest loop '' </dev/null

events() { grep -c "$1" "$WORK/loop.events" || true; }

# wait_events PATTERN COUNT SECONDS
wait_events() {
  local end=$((SECONDS + $3))
  until (($(events "$1") >= $2)); do
    if ((SECONDS >= end)) || ! is_running "$guest"; then
      return 1
    fi
    pause 0.1
  done
}

start_guest loop --events "$WORK/loop.events"
expect "a guest that reboots in a loop has to wait" wait_events '"event":"reboot_delayed"' 3 120
waits=$(sed -n 's/.*"reboot_delayed","seconds":\([0-9]*\).*/\1/p' "$WORK/loop.events" | head -n 3 | xargs)
expect "longer and longer: 1, 2, 4 s" test "$waits" = "1 2 4"
expect "five reboots were free" test "$(sed '/reboot_delayed/q' "$WORK/loop.events" | grep -c '"to":"rebooting"')" = 5
expect "the log says so" logged 'machine.reboot_backoff'
before=$SECONDS
kill "$guest"
wait_guest 60
expect "who ends it meanwhile does not wait for the next reboot" test $((SECONDS - before)) -lt 30
expect "and its status is that of the signal" test "$guest_status" = 143

: >"$WORK/loop.events"
start_guest loop --events "$WORK/loop.events" --set machine.reboot_backoff=off
expect "off: it reboots as fast as it can" wait_events '"to":"rebooting"' 12 120
expect "off: no wait" test "$(events reboot_delayed)" = 0
kill "$guest"
pause 1
kill "$guest" 2>/dev/null || true
wait_guest 60
expect "off: it ends" test "$guest_status" = 143

# Where whose folder it is has put a link.
echo precious >"$WORK/victim"
ln -s "$WORK/victim" "$WORK/link"
refuses_to_run loop "a console's file that is a link" 'is a symbolic link, and none is followed' --set "console.serial=[\"file:$WORK/link\"]"
expect "and its target is as it was" grep -qx precious "$WORK/victim"

# More open files than this process may have.
status=0
(ulimit -n 64 && ulimit -Hn 64 && "$GPUVM" run "$WORK/loop.toml" </dev/null >"$WORK/few.console" 2>"$WORK/few.log") || status=$?
expect "a limit of open files that is too low: status 69" test "$status" = 69
expect "with the cure" grep -q 'LimitNOFILE=[0-9]* of the systemd unit' "$WORK/few.log"
finish
