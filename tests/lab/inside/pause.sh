#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

PAUSES=100
load_host_drivers
before=$(host_state)
truncate -s 256M "$WORK/disk.img"
make_tile main

# Writes the frame buffer and block after block of the disk, until it is told to stop.
make_guest main '
until_true 20 test -b /dev/vda
show_pattern
clock() { echo "CLOCK $1 $(date +%s) $(cut -d. -f1 /proc/uptime)"; }
block() { printf "%-65536s" "BLOCK $1"; }
read -r go
clock begin
echo 0 >/tmp/blocks
(while [ ! -e /tmp/stop ]; do dd if=/tmp/frame of=/dev/fb0 bs=64k count=16 2>/dev/null; done) &
(n=0; while [ ! -e /tmp/stop ] && [ $n -lt 4000 ]; do
  block $n | dd of=/dev/vda bs=64k seek=$n iflag=fullblock conv=fsync,notrunc 2>/dev/null && n=$((n + 1)) && echo $n >/tmp/blocks
done) &
echo WRITING
read -r go
touch /tmp/stop
wait
clock end
blocks=$(cat /tmp/blocks)
echo "BLOCKS $blocks"
echo "DISK-MD5 $(dd if=/dev/vda bs=64k count=$blocks iflag=direct 2>/dev/null | md5sum | cut -d" " -f1)"
show_pattern
echo DONE
read -r go
show_dmesg
' <<END
[machine]
cpus = 2
[[pci]]
host = "0000:01:00.0"
[[disk]]
path = "$WORK/disk.img"
END

EVENTS=$WORK/main.events
happened() { (($(grep -c -- "$1" "$EVENTS") >= $2)); }
# wait_event TEXT TIMES: until so many events have TEXT.
wait_event() {
  local end=$((SECONDS + 60))
  until : >"$WORK/looked" && happened "$1" "$2"; do
    if ((SECONDS >= end)) || ! is_running "$guest"; then
      happened "$1" "$2" && return 0
      printf 'no %s for the %sth time\n' "$1" "$2"
      tail -n 20 "$LOG" "$EVENTS"
      return 1
    fi
    await_change "$EVENTS"
  done
}
# What a guest that runs would change: KVM's exits, the disk's file, the console.
traces() { echo "$(</sys/kernel/debug/kvm/exits) $(stat -c %y "$WORK/disk.img") $(stat -c %s "$CONSOLE")"; }
# clock_of WHEN N: the guest's clock (2) or uptime (3) then.
clock_of() { sed -n "s/^CLOCK $1 \([0-9]*\) \([0-9]*\).*/\\$(($2 - 1))/p" "$CONSOLE"; }

start_guest main --events "$EVENTS"
check_pattern main
host_begin=$EPOCHREALTIME
type_line go
wait_console '^WRITING' 60
rested=0
for ((i = 1; i <= PAUSES; i++)); do
  kill -USR1 "$guest"
  wait_event '"from":"running","to":"paused"' "$i"
  resting=$(traces)
  # The first one is long: a clock that stops meanwhile is seen.
  if ((i == 1)); then pause 10; else pause 0.05; fi
  [[ $(traces) == "$resting" ]] && rested=$((rested + 1))
  kill -USR2 "$guest"
  wait_event '"from":"paused","to":"running"' "$i"
  pause 0.1
done
type_line stop
wait_console '^CLOCK end' 120
host_end=$EPOCHREALTIME
wait_console '^DONE' 120
blocks=$(sed -n 's/^BLOCKS \([0-9]*\).*/\1/p' "$CONSOLE")
expected=$(perl -e 'printf "%-65536s", "BLOCK $_" for 0 .. $ARGV[0] - 1' "$blocks" | md5sum | cut -d' ' -f1)
expect "the guest rested in each of $PAUSES pauses" test "$rested" = "$PAUSES"
expect "it wrote its disk in between ($blocks blocks)" test "$blocks" -gt 10
expect "the guest reads what it wrote" guest_said "^DISK-MD5 $expected"
expect "the file holds what it wrote" test "$(head -c $((blocks * 65536)) "$WORK/disk.img" | md5sum | cut -d' ' -f1)" = "$expected"
for field in 2 3; do
  took=$(($(clock_of end "$field") - $(clock_of begin "$field")))
  expect "clock $field of the guest went on for $took s, as the host's" awk -v a="$host_begin" -v b="$host_end" -v took="$took" \
    'BEGIN { gap = b - a - took; exit !(gap > -2 && gap < 3) }'
done
check_pattern main
type_line go
wait_guest 180
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
check_dmesg

# A paused guest that is to end gets its power button and goes on; the second signal ends it.
: >"$EVENTS"
start_guest main --events "$EVENTS"
wait_console '^FRAME' 300
kill -USR1 "$guest"
wait_event '"to":"paused"' 1
kill "$guest"
wait_event '"from":"paused","to":"running"' 1
kill -USR1 "$guest"
wait_event '"to":"paused"' 2
kill -INT "$guest"
wait_guest 60
expect "a paused guest ends at the second signal" test "$guest_status" = 130
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
