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
expect "taken: it is gone" test ! -e "/sys/bus/pci/devices/$CARD"
is_left_dirty
echo 1 >/sys/bus/pci/rescan
expect "taken: it comes back to its driver" has_driver $CARD nvme
is_repaired

[[ ${LAB_LOST_CUT:-} == yes ]] || { finish; exit; }

# 3. The way to the card is cut: all that is read of it is ones. A limit of time is over then, which counts less. The kernel waits a minute
# after each reset that it tries, and so does gpuvm.
buses=$(setpci -s $PORT 18.L) command=$(setpci -s $PORT COMMAND)
start_lone_job lost limit --set test.console_timeout=10s
setpci -s $PORT COMMAND=0 19.B=fe 1a.B=fe
began=$SECONDS
ends_as 120 gpuvm device_unsafe 600
echo "SECONDS $((SECONDS - began))"
expect "lost: what else there was is named" grep -q "did not come back from its reset.*the guest printed nothing for 10s" "$WORK/lost.json"
is_left_dirty
setpci -s $PORT 18.L="$buses" COMMAND="$command"
# What it had in its registers went with its resets, which the kernel could not see: it is found anew, as after a power cycle.
echo 1 >"/sys/bus/pci/devices/$CARD/remove"
echo 1 >/sys/bus/pci/rescan
expect "lost: it comes back to its driver" has_driver $CARD nvme
is_repaired
finish
