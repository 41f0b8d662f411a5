#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_CHANNELS_INITRD
modprobe vhost_vsock
mkdir -p "$WORK/initrd-main" "$WORK/out"
cp "$LAB_OUT/vsock_echo" "$WORK/initrd-main/"

# The guest's words: by status port and vsock twice, for it reboots once; systemd's part is played by a program that speaks its protocol.
make_guest main '
until_true 20 grep -qx org.gpuvm.status /sys/class/virtio-ports/*/name
until_true 20 test -e /dev/vsock
name=$(grep -lx org.gpuvm.status /sys/class/virtio-ports/*/name)
name=${name%/name}
port=/dev/${name##*/}
cp /sys/firmware/dmi/entries/11-0/raw /tmp/raw
credential() { tail -c +6 /tmp/raw | tr "\000" "\n" | sed -n "s/^io.systemd.credential:$1=//p"; }
status_port=$(credential gpuvm.status_port)
notify=$(credential vmm.notify_socket)
echo "TOLD $(grep -o "gpuvm.vsock=[0-9]*" /proc/cmdline) $status_port $notify"
say() { printf "$1" | /vsock_echo ask 2 "$2" >/dev/null; }
mkdir -p /data
mount -t virtiofs out /data || echo NO-MOUNT
if [ ! -e /data/rebooted ]; then
  touch /data/rebooted
  echo READY >$port
  printf "1" >$port
  say "2\n" "$status_port"
  { printf 9; sleep 100; } >$port &
  sleep 1
  reboot -f
fi
echo "PLACE $(readlink -f /sys/class/virtio-ports/*/device | grep -o "0000:00:[0-9a-f.]*")"
echo "{\"exit\": 3}" >$port
head -c 300 /dev/zero | tr "\0" 4 >$port
echo nonsense >$port
head -c 100000 /dev/zero | tr "\000" "\377" >$port
echo >$port
say "{\"exit\":5}\nrest" "$status_port"
begin=$(cut -d" " -f1 /proc/uptime)
for i in 1 2 3 4 5 6 7 8 9 10; do say "X_SYSTEMD_UNIT_ACTIVE=a.target\n" "${notify##*:}"; done
echo "TEN $begin $(cut -d" " -f1 /proc/uptime)"
say "READY=1\nSTATUS=Ready." "${notify##*:}"
say "EXIT_STATUS=6\nX_SYSTEMD_SHUTDOWN=exit" "${notify##*:}"
say "EXIT_STATUS=0\nX_SYSTEMD_SHUTDOWN=poweroff" "${notify##*:}"
seq 1000 | sed "s/.*/READY/" >$port
echo 7 >/data/status
ln -s /etc/passwd /data/link
echo SAID; read -r go
' <<END
[vsock]
[[share]]
path = "$WORK/out"
tag = "out"
[test]
status_port = true
vsock_status = true
notify = true
result_file = "out:status"
END

words() { sed -n 's/.*"event":"word","channel":"\([a-z_]*\)","word":"\([a-z]*\)"\(,"status":\)\{0,1\}\([0-9]*\).*/\1 \2 \4/p' "$WORK/$1.events"; }
# says_once NAME WORD…: among the words of guest NAME, exactly once.
says_once() { test "$(words "$1" | grep -cx "${*:2}")" = 1; }
inspected() { grep -o "\"words\":{.*" "$WORK/$1.inspect.json"; }

expect "the dry run shows the channels" grep -q '# .*status_port: virtio port org.gpuvm.status' <("$GPUVM" run --dry-run "$WORK/main.toml" || true)
echo 0 >"$WORK/out/status"
start_guest main --events "$WORK/main.events"
wait_console '^SAID' 180
port=$(sed -n 's/.*TOLD gpuvm.vsock=\([0-9]*\).*/\1/p' "$CONSOLE" | tr -d '\r' | tail -n 1)
expect "the guest knows its vsock port by both ways, and systemd's socket" guest_said "^TOLD gpuvm.vsock=$port $port vsock-stream:2:[0-9]"
# The host itself, by the loopback of vsock: no guest.
modprobe vsock_loopback 2>/dev/null || true
echo 99 | timeout 20 "$LAB_OUT/vsock_echo" ask 1 "$port" >"$WORK/stranger" 2>&1 || true
type_line go
wait_guest 180
expect "words end nothing: the guest powers off, status 0" test "$guest_status" = 0
words main >"$WORK/words"
sort "$WORK/words" | uniq -c
expect "status port: a status, of a line without an end" says_once main status_port exit 1
expect "status port: JSON, after a reboot" says_once main status_port exit 3
expect "status port: what it said in half before the reboot, too long or without sense is no word" \
  test "$(grep -c '^status_port exit' "$WORK/words")" = 2
expect "status port: 64 of a flood of READY" test "$(grep -c '^status_port ready' "$WORK/words")" = 64
expect "vsock: before the reboot" says_once main vsock exit 2
expect "vsock: after it; the first line only" says_once main vsock exit 5
expect_not "vsock: nobody else is heard" says_once main vsock exit 99
expect "vsock: who came is counted" grep -q '"strangers":1' <(inspected main)
expect "notify: ready" says_once main notify ready ''
expect "notify: a status, and no 0 of a power off" test "$(grep '^notify exit' "$WORK/words")" = 'notify exit 6'
expect "result file: read at the end" says_once main result_file exit 7
expect "the port is in its place on bus 0" guest_said '^PLACE 0000:00:0f.0'
expect "ten messages take no two seconds each" awk '/^TEN/ { ok = $3 - $2 < 15 } END { exit !ok }' "$CONSOLE"
grep -a '^TEN' "$CONSOLE"
expect "inspect shows what was said" grep -q '"status_port":{"exit":2' <(inspected main)
inspected main

# The same share: the file is of the run before, and then behind a link.
make_guest short 'sleep 1' <<END
[[share]]
path = "$WORK/out"
tag = "out"
[test]
result_file = "out:status"
END
start_guest short --events "$WORK/short.events"
wait_guest 180
expect "a result of the run before says nothing" test "$guest_status $(words short)" = '0 '
expect "which the log tells" logged 'status was there before the run'
start_guest short --set test.result_file=out:link --events "$WORK/link.events"
wait_guest 180
expect "nothing is read behind a link" test "$guest_status $(words link)" = '0 '
expect "which the log tells, too" logged 'link is behind a symbolic link'

# An initrd's own init runs gpuvm's command, and gives its status.
# shellcheck disable=SC2034 # make_guest reads it
GUEST_CMDLINE="gpuvm.run=$(printf 'echo "COMMAND \x27in the guest\x27"\nexit 42\n' | base64 -w0)"
make_guest command 'echo NOT-THIS' <<END
[test]
status_port = true
END
start_guest command --events "$WORK/command.events"
wait_guest 180
expect "a command by the kernel's command line is run" guest_said "^COMMAND 'in the guest'"
expect_not "in place of the image's own" guest_said '^NOT-THIS'
expect "its status comes by the status port" test "$(words command)" = 'status_port exit 42'
start_guest command --set test.status_port=false --set test.exit_port=true --events "$WORK/command2.events"
wait_guest 180
expect "or by the exit port" test "$guest_status $(words command2)" = '42 exit_port exit 42'
finish
