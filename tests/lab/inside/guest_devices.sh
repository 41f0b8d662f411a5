#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GUEST_INITRD=$LAB_DEVICES_INITRD
VIRTIOFSD=/usr/lib/qemu/virtiofsd
mkdir -p "$WORK/initrd-main" "$WORK/data" "$WORK/fixed/below"
cp "$LAB_OUT/vsock_echo" "$WORK/initrd-main/"
cp "$LAB_OUT/vsock_echo" "$WORK/"
head -c 2000000 /dev/urandom >"$WORK/data/from-host"
echo fixed >"$WORK/fixed/file"
host_md5=$(md5sum <"$WORK/data/from-host" | cut -d' ' -f1)

# A shell on hvc0, which is the terminal that gpuvm runs in; the serial port goes to a file.
make_guest main '
until_true 20 test -c /dev/hvc0
until_true 20 test -e /dev/vsock
/vsock_echo serve 5000 &
mkdir -p /data /fixed
mount -t virtiofs data /data && mount -t virtiofs fixed /fixed || echo NO-MOUNT
exec </dev/hvc0 >/dev/hvc0 2>&1
stty -echo </dev/hvc0
echo SHELL-UP
while read -r line; do eval "$line"; done
' <<END
[machine]
memory = "256MiB"
[vsock]
[[share]]
path = "$WORK/data"
tag = "data"
[[share]]
path = "$WORK/fixed"
tag = "fixed"
readonly = true
[console]
serial = ["file:$WORK/serial.console"]
virtio = ["stdio"]
END

# refused WHAT STATUS TEXT OPTION…: the same guest, changed, must not start.
refused() {
  local got=0
  timeout 60 "$GPUVM" run -q --set name=refused "$WORK/main.toml" --set 'console.virtio=["off"]' "${@:4}" >/dev/null 2>"$WORK/refused" </dev/null || got=$?
  cat "$WORK/refused"
  expect "$1: exit status $2" test "$got" = "$2"
  expect "$1: one line that says '$3'" test "$(grep -c -- "$3" "$WORK/refused") $(wc -l <"$WORK/refused")" = '1 1'
}
# is_gone COMMAND…: true once the command fails, within ten seconds.
is_gone() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    "$@" >/dev/null 2>&1 || return 0
    pause 0.1
  done
  return 1
}
virtiofsds() { pgrep -f -- '^virtiofsd --fd=3'; }
# tell COMMAND TEXT SECONDS [TIMES]: a command for the guest, and what it answers with.
tell() {
  type_line "$1"
  wait_console "$2" "${@:3}"
}
# start_on_terminal [OPTION…]: as start_guest, but gpuvm runs in a terminal, of 30 rows and 100 columns, whose output is $CONSOLE;
# gpuvm's own process is $gpuvm, its terminal $terminal.
start_on_terminal() {
  CONSOLE=$WORK/terminal.console
  LOG=$WORK/main.log
  rm -f "$WORK/input" "$WORK/pid"
  mkfifo "$WORK/input"
  exec 7<>"$WORK/input"
  : >"$CONSOLE"
  : >"$LOG"
  cat >"$WORK/session" <<SESSION
stty rows 30 cols 100
tty >$WORK/tty
echo \$\$ >$WORK/pid
exec "$GPUVM" run "$WORK/main.toml" --inspect-file "$WORK/main.inspect.json" $* 2>$LOG
SESSION
  script -qfec "bash $WORK/session" "$CONSOLE" <"$WORK/input" >/dev/null 2>&1 7<&- &
  guest=$!
  local end=$((SECONDS + 30))
  until [[ -s $WORK/pid ]]; do ((SECONDS < end)) || return 1; pause 0.1; done
  gpuvm=$(cat "$WORK/pid") terminal=$(cat "$WORK/tty")
}
# The size of hvc0 in the guest becomes ROWS COLUMNS. The guest says which one it has when that has been so for TIMES.
size_is() {
  tell "until_true 20 eval 'stty size </dev/hvc0 | grep -q \"^$1\$\"'; echo \"SIZE \$(stty size </dev/hvc0)\"" "^SIZE $1" 60 "$2"
}

# all_devices LIFE TIMES: everything, of which the guest has then spoken TIMES times.
all_devices() {
  local started=$SECONDS
  tell 'echo "RNG $(cat /sys/class/misc/hw_random/rng_current) $(dd if=/dev/hwrng bs=64 count=16 2>/dev/null | wc -c)"' '^RNG' 60 "$2"
  expect "$1: 1024 random bytes" test "$(grep -ac '^RNG virtio_rng.0 1024' "$CONSOLE")" = "$2"
  expect "$1: vsock from the host to the guest" test "$(echo "hello $1" | timeout 60 "$WORK/vsock_echo" ask "$cid" 5000)" = "hello $1"
  tell 'echo guests-word | /vsock_echo ask 2 5001' '^guests-word' 60 "$2"
  expect "$1: vsock from the guest to the host" test "$(grep -ac '^guests-word' "$CONSOLE")" = "$2"
  tell "echo \"READ \$(md5sum </data/from-host | cut -d' ' -f1)\"" '^READ' 60 "$2"
  expect "$1: 2 MB of the shared folder, read in the guest" test "$(grep -ac "^READ $host_md5" "$CONSOLE")" = "$2"
  tell "dd if=/dev/urandom of=/data/from-guest bs=100k count=20 2>/dev/null; sync; echo \"WROTE \$(md5sum </data/from-guest | cut -d' ' -f1)\"" '^WROTE' 60 "$2"
  expect "$1: 2 MB that the guest wrote are the host's" \
    test "$(grep -a '^WROTE' "$CONSOLE" | tail -n 1 | tr -d '\r')" = "WROTE $(md5sum <"$WORK/data/from-guest" | cut -d' ' -f1)"
  tell 'mknod /node b 8 0 && echo MAKES-NODES; mknod /data/node b 8 0 2>/dev/null && echo MADE-NODE; rm -f /node; echo "FIXED $(cat /fixed/file) $(touch /fixed/new 2>&1) $(rm /fixed/file 2>&1)"' '^FIXED' 60 "$2"
  expect "$1: what is shared read-only can be read" test "$(grep -ac '^FIXED fixed' "$CONSOLE")" = "$2"
  expect "$1: and not written" test "$(grep -ac '^FIXED.*Read-only file system.*Read-only file system' "$CONSOLE")" = "$2"
  expect "$1: the guest makes a device node of its own" test "$(grep -ac '^MAKES-NODES' "$CONSOLE")" = "$2"
  expect_not "$1: no device node is made in a shared folder" test -e "$WORK/data/node"
  expect "$1: nor has it been" test "$(cat "$WORK/fixed/file") $(find "$WORK/fixed" | wc -l)" = 'fixed 3'
  echo "$1: all devices in $((SECONDS - started)) s"
}

refused "no vhost-vsock" 69 'this host has no /dev/vhost-vsock: modprobe vhost_vsock'
modprobe vhost_vsock
refused "a folder that is not there" 78 'share.0 (.*: path: cannot find the folder' --set share.0.path=/nowhere
refused "a tag twice" 78 'share.1.tag is that of share.0 already' --set share.1.tag=data
chmod a-x "$VIRTIOFSD"
refused "no virtiofsd" 69 'apt install virtiofsd' 
chmod a+x "$VIRTIOFSD"
refused "stdio twice" 78 'console.virtio names "stdio", where the serial port is' --set 'console.serial=["stdio"]' --set 'console.virtio=["stdio"]'

start_on_terminal --events "$WORK/main.events"
wait_console '^SHELL-UP' 120
cid=$(sed -n 's/.*"event":"vsock","cid":\([0-9]*\).*/\1/p' "$WORK/main.events")
expect "an event tells the guest's CID" test "${cid:-0}" -gt 65535
expect "the log tells it, too" logged "vsock has the CID $cid"
expect "two virtiofsd, one for each folder" test "$(virtiofsds | wc -l)" -ge 2
"$WORK/vsock_echo" serve 5001 &
server=$!
tell 'echo "CID $(for n in /sys/bus/pci/devices/*/; do echo "$(basename $n)=$(cat $n/device)"; done | tr "\n" " ")"' '^CID' 30
expect "each device is in its place" guest_said '^CID.*0000:00:0c.0=0x1044 0000:00:0d.0=0x1053 0000:00:0e.0=0x1043 .*0000:00:19.0=0x105a 0000:00:19.1=0x105a'
size_is '30 100' 1
expect "hvc0 has the terminal's size" guest_said '^SIZE 30 100'
stty -F "$terminal" rows 43 cols 132
size_is '43 132' 1
expect "and follows it" guest_said '^SIZE 43 132'
tell 'head -c 200000 /dev/zero | tr "\0" x; echo; echo MUCH-DONE' '^MUCH-DONE' 60
expect "200 kB on hvc0, none lost" test "$(grep -a '^xxx' "$CONSOLE" | tr -d '\r\n' | wc -c)" = 200000
all_devices "first life" 1
refused "a CID in use" 78 "vsock.cid = $cid is another guest's" --set "vsock.cid=$cid"
type_line 'reboot -f'
wait_console '^SHELL-UP' 120 2
size_is '43 132' 2
all_devices "after a reboot" 2
tell 'show_dmesg' '^DMESG-END' 30
check_dmesg

kill -9 "$(virtiofsds | head -n 1)"
wait_guest 60
expect "a killed virtiofsd ends the run with an error" test "$guest_status" = 69
expect "which names the folder and the signal" logged 'shared folder .* is gone.*signal 9'
expect "an event tells of it" grep -q '"event":"share","tag":"[a-z]*","state":"lost"' "$WORK/main.events"
expect "no virtiofsd is left" is_gone virtiofsds

start_on_terminal
end=$((SECONDS + 30))
until (($(virtiofsds | wc -l) >= 2)) || ((SECONDS >= end)); do pause 0.1; done
expect "another run has its own" test "$(virtiofsds | wc -l)" -ge 2
kill_gpuvm "$gpuvm"
expect "a killed gpuvm leaves no virtiofsd" is_gone virtiofsds
kill "$server" 2>/dev/null || true
finish
