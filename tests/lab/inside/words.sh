#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

event() { grep -q "$1" "$WORK/$2.events"; }

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
# shellcheck disable=SC2016 # the guest expands it
make_guest exit_port 'printf "\3" | dd of=/dev/port bs=1 seek=244 2>/dev/null; echo WROTE' <<END
[test]
exit_port = true
END
start_guest exit_port --events "$WORK/exit_port.events"
wait_guest 180
expect "exit port: the status is the guest's" test "$guest_status" = 3
expect "exit port: the log names it" logged 'The guest ends its run with exit status 3'
expect "exit port: an event" event '"event":"word","channel":"exit_port","word":"exit","status":3' exit_port

start_guest exit_port --set test.exit_port=false
wait_guest 180
expect "without the key: the guest goes on and powers off, status 0" test "$guest_status" = 0
expect "without the key: nothing listens there" grep -q WROTE "$CONSOLE"

GUEST_INITRD=$LAB_PANIC_INITRD
make_guest panic 'modprobe pvpanic_mmio; cat /sys/bus/acpi/devices/QEMU0001:00/status; echo c >/proc/sysrq-trigger' <<END
[test]
pvpanic = true
END
start_guest panic --events "$WORK/panic.events"
wait_guest 180
expect "pvpanic: status 34, though the guest would reboot" test "$guest_status" = 34
expect "pvpanic: the log says it" logged "The guest's kernel panicked"
expect "pvpanic: an event" event '"event":"word","channel":"pvpanic","word":"panic"' panic
expect "pvpanic: the kernel's own words are on the console" grep -q 'Kernel panic - not syncing' "$CONSOLE"

start_guest panic --set test.pvpanic=false --set machine.on_reboot=exit
wait_guest 180
expect "without the key: a panic is a reboot like any other, status 32" test "$guest_status" = 32
finish
