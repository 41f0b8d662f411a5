#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/jobs.sh"

CARD=0000:04:00.0 PORT=0000:00:05.0
SOCKET=$WORK/gpu.sock
mkfifo "$WORK/said"

# start_lone_job NAME KIND [OPTION…]: the small guest, which has begun when this returns.
start_lone_job() {
  start_job "$1" --set "name=$1" --set "boot.cmdline=job=1 kind=$2" "${@:3}"
  wait_console '^STILL\|^HAS job1 0' 120
}
ends_as() {
  comes_to "$@"
  expect "$job: the console has what the guest printed before" grep -q 'HAS job1' "$WORK/$job.out/console.log"
}
last_reset() { tr -d '\n' <"$WORK/$job.out/resets.json" | grep -o '"verdict": "[a-z_ ]*"' | tail -n 1; }

has_driver() {
  local tries
  for ((tries = 0; tries < 200; tries++)); do
    [[ $(driver_of "$1") != "$2" ]] || return 0
    pause 0.1
  done
  return 1
}

make_small_guest card <<END
[[pci]]
host = "$CARD"
[test]
exit_port = true
timeout = "10min"
END
make_small_guest served <<END
[[pci]]
socket = "$SOCKET"
[test]
exit_port = true
timeout = "10min"
END

modprobe -a nvme vfio-pci
expect "the lab host's driver has the card" has_driver $CARD nvme
before=$(host_state)

# 1. A vfio-user server that is killed.
JOB_CONFIG=served
start_server() {
  "$LAB_FAKE_GPU" --socket "$SOCKET" --vram-file "$WORK/vram" >"$WORK/said" &
  server=$!
  read -r _ <"$WORK/said"
}
start_server
start_lone_job server limit
kill -9 "$server"
ends_as 120 gpuvm device_unsafe
wait "$server" 2>/dev/null || true
expect "server: the reason names it" grep -q "A device of the guest has left: $SOCKET" "$WORK/server.json"
expect "server: nothing is left" state_is "$before"
start_server
start_lone_job next_server pass
ends_as 0 exit_port passed
kill "$server"
wait "$server" 2>/dev/null || true
JOB_CONFIG=card

# A job on a card that nobody has seen well since.
is_left_dirty() {
  expect "$job: the card is left dirty" grep -q "^dirty=." "/run/gpuvm/$CARD.state"
}
is_repaired() {
  start_lone_job "next_$job" pass
  ends_as 0 exit_port passed
  expect "$job: it has repaired the card first" logged "$CARD was left dirty"
  expect "$job: nothing is left" state_is "$before"
}

# 2. The host takes a card away, and keeps it locked until gpuvm lets go of it: no reset can be done. This guest does not notice that it
# is to end.
start_lone_job taken limit
echo 1 >"/sys/bus/pci/devices/$CARD/remove" &
remover=$!
ends_as 120 gpuvm device_unsafe
wait "$remover"
expect "taken: the log names the card" logged "The host wants $CARD back"
expect "taken: the reason is the reset that could not be" grep -q "Hot reset of $CARD failed: the host's kernel keeps it locked" "$WORK/taken.json"
expect "taken: what it needs is said, and that is no reboot" grep -q "The host is taking it away" "$WORK/taken.json"
expect_not "taken: nobody is sent to reboot the host" grep -q "Reboot the host\|witch the host off" "$WORK/taken.json"
expect "taken: it is gone" test ! -e "/sys/bus/pci/devices/$CARD"
is_left_dirty
echo 1 >/sys/bus/pci/rescan
expect "taken: it comes back to its driver" has_driver $CARD nvme
is_repaired

# 3. The card is reset where the host's kernel does not see it, as by a slot that was without power for a moment: its BAR registers are
# gone, while the kernel, and VFIO after it, shows them as ever. A reset that is called verified all the same would give the guest a card
# that answers nowhere.
bar_is_where_the_host_has_it() {
  local start low high
  read -r start _ <"/sys/bus/pci/devices/$CARD/resource"
  low=$(setpci -s $CARD 10.L) high=$(setpci -s $CARD 14.L)
  printf 'BAR 0: %s%s, and the host has it at %s\n' "$high" "$low" "$start"
  (((16#$high << 32 | (16#$low & ~15)) == start))
}
reset_unseen() {
  setpci -s $PORT BRIDGE_CONTROL=40:40
  pause 0.2
  setpci -s $PORT BRIDGE_CONTROL=0:40
  pause 1
}
echo $CARD >"/sys/bus/pci/devices/$CARD/driver/unbind"
expect "unseen: its BAR is where the host has it" bar_is_where_the_host_has_it
reset_unseen
expect_not "unseen: and is not any more" bar_is_where_the_host_has_it
start_lone_job unseen pass
ends_as 0 exit_port passed
expect "unseen: the log says what the card has lost" logged "$CARD: BAR 0 is at 0x0 and not at 0x"
expect "unseen: the host has found it anew" logged "removal and rescan of $CARD and a reset in .*, verified"
expect "unseen: the certificate says what was compared" grep -q '"bars":"[1-9] BAR registers as the host has them' "$WORK/unseen.out/events.jsonl"
expect "unseen: its BAR is where the host has it again" bar_is_where_the_host_has_it
echo $CARD >/sys/bus/pci/drivers_probe
expect "unseen: its driver takes it" has_driver $CARD nvme
expect "unseen: nothing is left" state_is "$before"

# The same while a guest has it: VFIO, which was opened before, puts the registers back when decode is switched on, and the check sees that.
start_lone_job unseen_running limit --set test.console_timeout=10s
reset_unseen
expect_not "unseen_running: the BAR is gone" bar_is_where_the_host_has_it
ends_as 124 console_timeout timed_out
expect "unseen_running: a verified card is where the host has it" bar_is_where_the_host_has_it
start_lone_job after_unseen pass
ends_as 0 exit_port passed
expect "after_unseen: nothing is left" state_is "$before"

[[ ${LAB_LOST_CUT:-} == yes ]] || { finish; exit; }

# 4. The way to the card is cut: all that is read of it is ones. A limit of time is over then, which counts less. The kernel waits a minute
# after each reset that it tries, and so does gpuvm.
buses=$(setpci -s $PORT 18.L) command=$(setpci -s $PORT COMMAND)
start_lone_job lost limit --set test.console_timeout=10s
setpci -s $PORT COMMAND=0 19.B=fe 1a.B=fe
began=$SECONDS
ends_as 120 gpuvm device_unsafe 1200
echo "SECONDS $((SECONDS - began))"
expect "lost: what else there was is named" grep -q "did not come back from its reset.*the guest printed nothing for 10s" "$WORK/lost.json"
is_left_dirty
setpci -s $PORT 18.L="$buses" COMMAND="$command"
# An owner's process has tried what needs a card that nobody has open, too: it may be out of the kernel.
rescanned=no
[[ -e /sys/bus/pci/devices/$CARD ]] || { rescanned=yes; echo 1 >/sys/bus/pci/rescan; expect "lost: it is found again" has_driver $CARD nvme; }
# What it had in its registers went with its resets, which the kernel could not see: the next guest's start finds it anew.
is_repaired
[[ $rescanned == yes ]] || expect "next_lost: by a removal and rescan" logged "removal and rescan of $CARD and a reset in .*, verified"
expect "next_lost: its BAR is where the host has it" bar_is_where_the_host_has_it
finish
