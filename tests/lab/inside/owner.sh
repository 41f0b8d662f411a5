#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_OWNER_KILLS, LAB_OWNER_CRASHES: how often the monitor is killed, and crashes; LAB_OWNER_SEED.
. "$(dirname "$0")/../lib/inside.sh"

GPU=0000:01:00.0 AUDIO=0000:01:00.1 USB=0000:02:00.0 NVME=0000:04:00.0

# monitor_of OWNER: the number of its monitor, once it is there. In place of inside.sh's: this one is to be killed before it has threads, too.
monitor_of() {
  local tries=0
  until pgrep -P "$1" -x gpuvm; do
    tries=$((tries + 1))
    ((tries < 200)) || { echo "process $1 has no monitor" >&2; return 1; }
    pause 0.05
  done
}
record_of() { sed -n "s/^$2=//p" "/run/gpuvm/$1.state"; }
marks() { find /run/gpuvm -name '*.state' -o -name '*.binding' | wc -l; }
# A moment of a guest's life: 0.0 to 7.9 s.
random_pause() { pause "$((RANDOM % 8)).$((RANDOM % 10))"; }

# end_monitor SIGNAL WHAT: sends it to the monitor of the running guest, and looks at what its owner makes of that.
end_monitor() {
  local signal=$1 what=$2 monitor
  monitor=$(monitor_of "$guest")
  kill "-$signal" "$monitor"
  wait_guest 180
  expect "$what: exit status" test "$guest_status" = $((128 + $(kill -l "$signal")))
  expect "$what: it is told once, in words" test "$(grep -c "The monitor, process $monitor, was ended by signal $(kill -l "$signal") " "$LOG")" = 1
  expect "$what: no mark is left" test "$(marks)" = 0
  expect "$what: drivers are back, and no process is left" state_is "$before"
}

RANDOM=$LAB_OWNER_SEED
echo "seed $LAB_OWNER_SEED: $LAB_OWNER_KILLS kills, $LAB_OWNER_CRASHES crashes"
load_host_drivers
before=$(host_state)
make_tile main
GUEST_CMDLINE=guest.end=reboot make_guest main '
until_true 20 test -e /sys/class/graphics/fb0 && show_pattern
draw() { while :; do dd if=/tmp/frame of=/dev/fb0 bs=64k count=8 2>/dev/null; usleep 20000; done; }
draw &
echo READY
read -r word
kill $!
[ "$word" = reboot ] || poweroff -f
' <<'END_OF_CONFIG'
[sandbox]
owner = "process"
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END_OF_CONFIG
make_guest other '
if until_true 20 test -b /dev/nvme0n1; then
  while :; do dd if=/dev/nvme0n1 of=/dev/null bs=1M count=64 iflag=direct 2>/dev/null; done &
fi
echo READY
read -r word
' <<'END_OF_CONFIG'
[sandbox]
owner = "process"
[[pci]]
host = "0000:04:00.0"
END_OF_CONFIG

# A run that ends well, with a reboot, by its owner's signal.
start_guest main --events "$WORK/main.events" -v
wait_console '^READY' 300
monitor=$(monitor_of "$guest")
expect "the process that was started owns the devices" test "$(record_of $GPU pid),$(record_of $USB pid)" = "$guest,$guest"
expect "they are marked" test "$(record_of $AUDIO dirty)" = "the guest main had it when gpuvm ended"
expect_not "the monitor has no file of /run/gpuvm's devices any more" \
  bash -c "readlink /proc/$monitor/fd/* | grep -q '^/run/gpuvm/0000:'"
expect_not "the owner has no device open" bash -c "readlink /proc/$guest/fd/* | grep -q vfio"
type_line reboot
wait_console '^READY' 300 2
expect "a reboot: the same monitor" test "$(monitor_of "$guest")" = "$monitor"
check_pattern main
kill "$guest"
wait_log 'Power button pressed' 60
pause 1 # the same signal within half a second is the same request
expect "SIGTERM of the owner is the monitor's, and once" test "$(grep -c 'Power button pressed' "$LOG")" = 1
kill "$guest"
wait_guest 180
expect "a second one ends it: status 143" test "$guest_status" = 143
expect "the monitor's reset is told, and with -v the owner's own" \
  test "$(grep -c "Reset at stop: $GPU, $AUDIO: hot reset, verified" "$LOG")" = 2
expect "nothing is left" state_is "$before"

# The guest's own end.
start_guest main
wait_console '^READY' 300
type_line off
wait_guest 180
expect "the owner's own reset is no message of a usual end" \
  test "$(grep -c "Reset at stop: $GPU, $AUDIO: hot reset, verified" "$LOG")" = 1
expect "power off: status 0" test "$guest_status" = 0
expect "nothing is left" state_is "$before"

for ((kill = 1; kill <= LAB_OWNER_KILLS; kill++)); do
  start_guest main
  ((kill % 2 == 0)) || wait_console '^READY' 300
  random_pause
  end_monitor KILL "kill $kill"
done
crashes=(SEGV ABRT BUS FPE ILL) # not SYS: the sandbox takes that one for a forbidden call, and nobody's for none
for ((crash = 1; crash <= LAB_OWNER_CRASHES; crash++)); do
  start_guest main
  ((crash % 2 == 0)) || wait_console '^READY' 300
  random_pause
  end_monitor "${crashes[crash % 5]}" "crash $crash"
done

# Two at once: the end of one is nothing to the other.
"$GPUVM" run "$WORK/other.toml" </dev/null >"$WORK/other.console" 2>"$WORK/other.log" &
other=$!
start_guest main
wait_console '^READY' 300
until grep -qa '^READY' "$WORK/other.console"; do
  is_running "$other" || { tail -n 20 "$WORK/other.log"; break; }
  pause 0.2
done
other_monitor=$(monitor_of "$other")
kill -KILL "$(monitor_of "$guest")"
wait_guest 180
expect "two guests: the killed one's devices are back" test "$(driver_of $GPU),$(driver_of $USB)" = "bochs-drm,xhci_hcd"
expect "two guests: the other one goes on" test "$(driver_of $NVME),$(monitor_of "$other")" = "vfio-pci,$other_monitor"
expect "two guests: it keeps its mark" test "$(record_of $NVME dirty)" = "the guest other had it when gpuvm ended"
kill -SEGV "$other_monitor"
status=0
wait "$other" || status=$?
expect "two guests: the other one's end: status 139" test "$status" = 139
expect "nothing is left" state_is "$before"

# A job whose monitor is killed has a status of its own.
"$GPUVM" test "$WORK/other.toml" </dev/null >"$WORK/job.console" 2>"$WORK/job.log" &
guest=$!
until grep -qa '^READY' "$WORK/job.console"; do
  is_running "$guest" || { tail -n 20 "$WORK/job.log"; break; }
  pause 0.2
done
kill -KILL "$(monitor_of "$guest")"
status=0
wait "$guest" || status=$?
expect "a job: status 122" test "$status" = 122
expect "nothing is left" state_is "$before"

# An owner that is killed takes its monitor along; what it had is repaired by the next verb.
start_guest main
wait_console '^READY' 300
monitor=$(monitor_of "$guest")
kill -KILL "$guest"
wait "$guest" 2>/dev/null || true
tries=0
while is_running "$monitor" && ((tries < 200)); do
  tries=$((tries + 1))
  pause 0.1
done
expect_not "the monitor does not outlive its owner" is_running "$monitor"
expect "the mark outlives both" test "$(record_of $GPU dirty)" = "the guest main had it when gpuvm ended"
expect "gpuvm unbind repairs" "$GPUVM" unbind
expect "nothing is left" state_is "$before"
finish
