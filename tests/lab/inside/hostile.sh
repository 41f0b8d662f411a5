#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

CARD=0000:04:00.0
PAYLOADS=24 # of tests/hostile/payloads.cpp
GPUVM=$LAB_HOSTILE_GPUVM

modprobe -a nvme vfio-pci
for ((tries = 0; tries < 100; tries++)); do
  [[ $(driver_of $CARD) != nvme ]] || break
  pause 0.1
done
expect "the lab host's driver has the card" test "$(driver_of $CARD)" = nvme
before=$(host_state)

truncate -s 1M "$WORK/disk.img"
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest hostile 'echo BOOTED; poweroff -f' <<END
[[pci]]
host = "$CARD"
[[disk]]
path = "$WORK/disk.img"
END

said_lines() { grep -c "^hostile $1: .*: $2" "$LOG" || true; }
last_reset() { grep '"event":"reset"' "$WORK/$1.events" | tail -n 1; }

# turn ROLE NAME [OPTION…]: one run in which a thread of the role turns hostile; its log and events are NAME's.
turn() {
  local role=$1 name=$2
  shift 2
  cp "$WORK/hostile.toml" "$WORK/$name.toml"
  GPUVM_HOSTILE=$role run_guest "$name" --events "$WORK/$name.events" "$@"
}

for role in vcpu queue memory worker control; do
  turn "$role" "$role-on"
  expect "$role: all was tried" test "$(said_lines "$role" '')" = $PAYLOADS
  expect "$role: nothing worked" test "$(said_lines "$role" 'worked')" = 0
  grep "^hostile $role: .*: worked" "$LOG" || true
  expect "$role: the guest ends with status 70" test "$guest_status" = 70
  expect "$role: one line names thread, role, call and number" \
    grep -q "Thread .* (role $role) made the forbidden system call [a-z0-9_]* ([0-9]*)" "$LOG"
  expect "$role: an event says so" grep -q '"event":"sandbox","state":"violated"' "$WORK/$role-on.events"
  expect "$role: the device was reset and verified at last" grep -q '"verdict":"verified"' <(last_reset "$role-on")
  expect "$role: everything is as before" state_is "$before"
done

# Without the sandbox they can do all of it, and the guest runs to its end.
for role in vcpu queue worker control; do
  turn "$role" "$role-off" --set sandbox.mode=off
  expect "$role without the sandbox: all worked" test "$(said_lines "$role" 'worked')" = $PAYLOADS
  grep "^hostile $role: .*: refused" "$LOG" || true
  expect "$role without the sandbox: the guest runs to its end" test "$guest_status" = 0
done

# What is told of the layers in force.
GPUVM=$LAB_GPUVM
make_guest layers 'echo BOOTED; poweroff -f' </dev/null
run_guest layers --events "$WORK/layers.events"
expect "a guest in the sandbox runs to its end" test "$guest_status" = 0
expect "an event says which layers are in force" grep -q '"event":"sandbox","state":"entered","text":"seccomp (12 roles)' "$WORK/layers.events"
expect "inspect, too" eval 'tr -d "\n " <"$WORK/layers.inspect.json" | grep -q "\"sandbox\":{\"seccomp\":{\"in_force\":true"'
expect "nothing was forbidden to it" eval '! grep -q "forbidden system call" "$LOG"'
finish
