#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/jobs.sh"

USB=0000:02:00.0

# ends_as STATUS CHANNEL OUTCOME: the job that was started, with all that it must leave.
ends_as() {
  comes_to "$@"
  expect "$job: the device is checked at the end" eval 'tail -n 9 "$WORK/$job.out/resets.json" | grep -q "\"verdict\": \"verified\""'
  expect "$job: the device is back, and nothing is left" state_is "$before"
}

# make_job NAME SCRIPT: with the USB controller, and an exit port.
make_job() {
  make_guest "$1" "$2" <<END
[[pci]]
host = "$USB"
[test]
exit_port = true
timeout = "10min"
END
}

say_status='tell() { printf "\\$1" | dd of=/dev/port bs=1 seek=244 2>/dev/null; }'
panic='echo c >/proc/sysrq-trigger'
# shellcheck disable=SC2016 # the guest expands it
find_port='until_true 20 grep -qx org.gpuvm.status /sys/class/virtio-ports/*/name
name=$(grep -lx org.gpuvm.status /sys/class/virtio-ports/*/name)
name=${name%/name}
port=/dev/${name##*/}'

load_host_drivers
before=$(host_state)
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD

make_job pass "$say_status; echo at work; tell 0"
start_job pass
ends_as 0 exit_port passed
expect "pass: the console has its lines with their times" grep -q '^20[0-9-]*T[0-9:.]*Z at work$' "$WORK/pass.out/console.log"
expect "pass: the configuration has all defaults" grep -q '^retries = 0' "$WORK/pass.out/resolved.toml"
expect "pass: events" grep -q '"event":"word","channel":"exit_port","word":"exit","status":0' "$WORK/pass.out/events.jsonl"

make_job xid "$say_status; echo BUG: a GPU that hung; tell 0"
start_job xid --set 'test.failure_pattern="^BUG: "'
ends_as 1 console failed
expect "xid: the status that had not seen it is named" grep -q 'exit status 0 by exit_port' "$WORK/xid.json"

make_job fail "$say_status; tell 3"
start_job fail
ends_as 3 exit_port failed

# Of two panics one is by the console alone: the guest has no driver for pvpanic there.
make_job panic "$panic"
start_job panic
ends_as 121 console panicked
expect "panic: the kernel's log has it" grep -q '^\[ *[0-9.]*\].*Kernel panic - not syncing' "$WORK/panic.out/dmesg.log"

GUEST_INITRD=$LAB_VERDICT_INITRD
make_job pvpanic "modprobe pvpanic_mmio; $panic"
start_job pvpanic --set test.pvpanic=true
ends_as 121 pvpanic panicked
expect "pvpanic: the console's own word is named, too" grep -q '"panic by pvpanic; panic by the console' "$WORK/pvpanic.json"

# A status by a channel that does not end the guest: it powers off itself, panics, or goes on and is ended.
make_job status "$find_port; echo 4 >\$port"
start_job status --set test.status_port=true
ends_as 4 status_port failed
make_job zero_panic "$find_port; echo 0 >\$port; modprobe pvpanic_mmio; $panic"
start_job zero_panic --set test.status_port=true --set test.pvpanic=true
ends_as 121 pvpanic panicked
expect "zero_panic: the false status is named" grep -q 'exit status 0 by status_port [0-9.]* s earlier' "$WORK/zero_panic.json"
make_job lingers "$find_port; echo 0 >\$port; sleep 1000"
start_job lingers --set test.status_port=true
ends_as 0 status_port passed
expect "lingers: it was asked to end, then stopped" eval 'grep -q "power button pressed" "$LOG" && grep -q "the guest is stopped" "$LOG"'
GUEST_INITRD=$LAB_PLAIN_INITRD

# A pattern that is none of success, and a panic behind it.
make_job false_pattern "echo ALL PASSED; sleep 1; $panic"
start_job false_pattern --set 'test.success_pattern="^ALL PASSED"' --set machine.on_reboot=exit
ends_as 121 console panicked
expect "false_pattern: the reason has both" eval 'grep -q "ALL PASSED.* earlier" "$WORK/false_pattern.json"'

make_job pattern "echo ALL PASSED; sleep 1000"
start_job pattern --set 'test.success_pattern="^ALL PASSED"' --set 'test.failure_pattern=["^FAILED", "Oops"]'
ends_as 0 console passed

# Nothing on the console, from the first byte on, and after some.
GUEST_CMDLINE=console=null
make_job mute "sleep 1000"
unset GUEST_CMDLINE
sed -i 's/console=ttyS0 //' "$WORK/mute.toml"
start_job mute --set test.first_console_timeout=20s
ends_as 124 first_console_timeout timed_out

make_job silent "echo BEGUN; sleep 1000"
start_job silent --set test.first_console_timeout=10min --set test.console_timeout=30s # of silence, not of the way to init
ends_as 124 console_timeout timed_out

make_job noisy "while :; do echo still here; sleep 0.2; done"
start_job noisy --set test.timeout=60s
ends_as 124 timeout timed_out

make_job power_off "echo nothing to say"
start_job power_off
ends_as 125 power_off no_verdict

make_job reset "reboot -f"
start_job reset
ends_as 125 reset no_verdict
start_job reset --set test.reboots=1
ends_as 125 reboots no_verdict

# A runner that gives up: first the power button, which this guest does not have; the second signal is for gpuvm.
make_job sigterm "echo WAITING; sleep 1000"
start_job sigterm
wait_console WAITING 300
kill "$guest"
wait_log 'Power button pressed' 60
pause 0.6
kill "$guest"
ends_as 125 signal no_verdict

# SIGKILL leaves no report, and a dirty device that the next job repairs.
cp "$WORK/sigterm.toml" "$WORK/sigkill.toml"
start_job sigkill
wait_console WAITING 300
kill_gpuvm "$guest"
wait_guest 10
expect "SIGKILL: the report is empty" test -e "$WORK/sigkill.json" -a ! -s "$WORK/sigkill.json"
expect "SIGKILL: the device is dirty, and with vfio-pci" \
  test "$(driver_of $USB),$(sed -n 's/^dirty=//p' /run/gpuvm/$USB.state)" = "vfio-pci,the guest sigterm had it when gpuvm ended"
cp "$WORK/pass.toml" "$WORK/repair.toml"
start_job repair
ends_as 0 exit_port passed
expect "the next job repairs" grep -q "$USB was left dirty" "$WORK/repair.out/gpuvm.log"

# What is known before a device is touched.
job=pass
refused() {
  local status=0
  "$GPUVM" test "$@" >"$WORK/said" 2>&1 </dev/null || status=$?
  cat "$WORK/said"
  echo "status $status"
  refused_status=$status
}
refused --artifacts /proc/none "$WORK/pass.toml"
expect "a folder that cannot be written: 122" test "$refused_status" = 122
expect "it is named" grep -q '/proc/none' "$WORK/said"
expect "no device was touched" state_is "$before"
expect_not "nor looked at" grep -q 'functions are' "$WORK/said"
refused --set 'test.failure_pattern="a(b"' --result-json "$WORK/pass.json" "$WORK/pass.toml"
expect "a pattern that does not compile: 122" test "$refused_status" = 122
expect "with its place" grep -q 'test.failure_pattern "a(b" is no regular expression.*--set' "$WORK/said"
expect "and the report says it" test "$(field outcome)" = host_fault
refused --skip-if-unavailable --set pci.0.host=0000:1f:1f.7 "$WORK/pass.toml"
expect "a device that is not there, to be skipped: 77" test "$refused_status" = 77
refused --set pci.0.host=0000:1f:1f.7 "$WORK/pass.toml"
expect "else 122" test "$refused_status" = 122
refused --skip-if-unavailable --set boot.kernel=/nowhere "$WORK/pass.toml"
expect "a kernel that is not there is no property of the host: 122" test "$refused_status" = 122
expect "everything is as before" state_is "$before"
finish
