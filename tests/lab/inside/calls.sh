#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

CARD=0000:04:00.0
CALLS=$WORK/calls.log
truncate -s 1M "$WORK/disk.img"
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest main 'echo BOOTED; read -r word; reboot -f' <<END
[machine]
cpus = 2
rng = true
[[pci]]
host = "$CARD"
[[disk]]
path = "$WORK/disk.img"
[console]
serial = ["stdio", "file:$WORK/serial.txt"]
[sandbox]
mode = "log"
log = "$CALLS"
END

start_guest main --events "$WORK/main.events"
wait_console BOOTED 300
type_line on
wait_console BOOTED 300 2
end_guest
expect "a guest in log mode reboots, and ends by its power button" test "$guest_status" = 143
expect "its calls are noted" grep -q "^role" "$CALLS"
expect "two vCPUs" grep -q "^role	vcpu	2$" "$CALLS"
expect "KVM_RUN was counted" grep -q "^row	vcpu	always	[1-9][0-9]*	ioctl KVM_RUN	" "$CALLS"
for role in control worker vcpu queue writer memory; do
  expect "a thread had the role $role" grep -q "^role	$role	[1-9]" "$CALLS"
done
grep '^unlisted' "$CALLS" || true
expect "no call that is in no list" eval '[ -s "$CALLS" ] && ! grep -q "^unlisted" "$CALLS"'
cp "$CALLS" "$LAB_OUT/calls.txt"
finish
