#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/jobs.sh"

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_CHANNELS_INITRD
modprobe vhost_vsock

# What the guests share: their channels.
COMMON='
until_true 20 test -e /dev/vsock
vsock=$(sed -n "s/.*gpuvm\.vsock=\([0-9]*\).*/\1/p" /proc/cmdline)
say() { echo "$1" | /vsock_echo ask 2 "$vsock" >/dev/null; }
write() { mkdir -p /data; mount -t virtiofs out /data; echo "$1" >/data/status; sync; }
panic() { echo c >/proc/sysrq-trigger; }
echo AT-WORK
'

# make_job NAME SCRIPT: with vsock and a share, which is empty.
make_job() {
  mkdir -p "$WORK/initrd-$1" "$WORK/share-$1"
  cp "$LAB_OUT/vsock_echo" "$WORK/initrd-$1/"
  make_guest "$1" "$COMMON$2" <<END
[vsock]
[[share]]
path = "$WORK/share-$1"
tag = "out"
[test]
vsock_status = true
result_file = "out:status"
timeout = "20min"
END
}

# job STATUS CHANNEL OUTCOME NAME SCRIPT
job() {
  make_job "$4" "$5"
  start_job "$4"
  comes_to "${@:1:3}"
  expect "$4: nothing is left" state_is "$before"
}
event() { grep -q "\"event\":\"word\",\"channel\":\"$1\",\"word\":\"exit\",\"status\":$2[,}]" "$WORK/$job.out/events.jsonl"; }

before=$(host_state)
job 0 vsock passed vsock_pass 'say 0'
job 3 vsock failed vsock_fail 'say 3'
expect "vsock_fail: the event" event vsock 3
job 121 console panicked vsock_panic 'say 0; panic'
expect "vsock_panic: the false status is named" grep -q 'exit status 0 by vsock [0-9.]* s earlier' "$WORK/vsock_panic.json"
job 0 result_file passed file_pass 'write 0'
job 3 result_file failed file_fail 'write 3'
expect "file_fail: the event" event result_file 3
job 121 console panicked file_panic 'write 0; panic'
expect "file_panic: the false status is named" grep -q 'exit status 0 by result_file' "$WORK/file_panic.json"
job 3 vsock failed both 'write 0; say 3'
expect "both: the other one is named" grep -q 'exit status 0 by result_file' "$WORK/both.json"

# flood NAME WORD NOTIFICATION OPTION…: the guest says these, and what is no word, on all channels at once and for ever.
flood() {
  make_job "$1" '
until_true 20 grep -qx org.gpuvm.status /sys/class/virtio-ports/*/name
until_true 20 test -c /dev/hvc0
name=$(grep -lx org.gpuvm.status /sys/class/virtio-ports/*/name)
name=${name%/name}
port=/dev/${name##*/}
cp /sys/firmware/dmi/entries/11-0/raw /tmp/raw
notify=$(tail -c +6 /tmp/raw | tr "\000" "\n" | sed -n "s/^io.systemd.credential:vmm.notify_socket=.*://p")
write "'"$2"'"
head -c 100000 /dev/zero >>/data/status
yes flood >/dev/hvc0 &
yes flood &
while :; do
  head -c 100000 /dev/zero
  echo
  yes "'"$2"'" | head -n 1000
  yes nonsense | head -n 1000
done >$port &
while :; do say "'"$2"'"; say nonsense; done &
while :; do echo "'"$3"'" | /vsock_echo ask 2 $notify; done &
while :; do
  { head -c 65536 /dev/zero; sleep 100; } | /vsock_echo ask 2 $vsock &
  sleep 0.5
done &
while :; do echo; echo STILL-HERE; sleep 1; done
'
  start_job "$1" --set test.status_port=true --set test.notify=true --set 'console.virtio=["file:/dev/null"]' "${@:4}"
}
anonymous_kib() { sed -n 's/^RssAnon:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$(monitor_of "$guest")/status"; }
is_bounded() {
  (($(stat -c %s "$WORK/$job.out/console.log") <= (256 << 20) + 4096)) || { echo "console.log is too long"; return 1; }
  (($(wc -l <"$WORK/$job.out/events.jsonl") < 1000)) || { echo "too many events"; return 1; }
  (($(wc -l <"$WORK/$job.out/gpuvm.log") < 400)) || { echo "too many messages"; return 1; }
  (($(stat -c %s "$WORK/$job.json") < 100000)) || { echo "the result is too long"; return 1; }
}
# words CHANNEL: how many of it are events.
words() { grep -c "\"event\":\"word\",\"channel\":\"$1\"" "$WORK/$job.out/events.jsonl" || true; }

flood flood_ready READY READY=1 --set test.timeout=90s
wait_console STILL-HERE 240
wait_log 'The limit test.timeout' 400
said=$SECONDS
expect "flood_ready: gpuvm's own memory is small" test "$(anonymous_kib)" -lt 200000
comes_to 124 timeout timed_out
expect "flood_ready: it ends within a minute of its limit" test $((SECONDS - said)) -lt 60
expect "flood_ready: its artifacts are bounded" is_bounded
expect "flood_ready: so are its words" test "$(words status_port)" = 64
expect "flood_ready: which came by the other channels, too" test "$(words vsock)" -gt 0 -a "$(words notify)" -gt 0
ls -l "$WORK/$job.out"
expect "flood_ready: nothing is left" state_is "$before"

flood flood_status 3 EXIT_STATUS=3
comes_to 3 status_port failed
expect "flood_status: its artifacts are bounded" is_bounded
expect "flood_status: nothing is left" state_is "$before"
finish
