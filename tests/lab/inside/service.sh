#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/systemd-host.sh"

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_SERVICE_INITRD
DEVICE=0000:06:00.0
# For guests: until the power button is pressed.
BUTTON='until_true 20 test -e /dev/input/event0; head -c 24 /dev/input/event0 >/dev/null'

# The protocol itself, with a manager that writes down what it is told.
make_guest plain 'echo UP; read -r go' <<<''
mkdir -p "$WORK/notify"
tests/lab/lib/notify_listener.pl "$WORK/notify/socket" >"$WORK/notify.events" &
listener=$!
until [[ -S $WORK/notify/socket ]]; do pause 0.05; done
export NOTIFY_SOCKET=$WORK/notify/socket WATCHDOG_USEC=8000000
start_guest plain
wait_console '^UP' 120
told() { grep -q -- "$1" "$WORK/notify.events"; }
expect "the start is told, and asks for time" told 'STATUS=Building the machine | EXTEND_TIMEOUT_USEC=60000000'
expect "readiness with the guest's processors" test "$(grep -c 'READY=1 | STATUS=Running' "$WORK/notify.events")" = 1
pause 14
expect "the watchdog is fed before its time is over" awk '/WATCHDOG=1$/ { if (n++ && $1 - last > 8) late = 1; last = $1 } END { exit late || n < 3 }' \
  "$WORK/notify.events"
kill -USR1 "$guest"
wait_log 'The guest is paused' 30
kill -USR2 "$guest"
wait_log 'The guest goes on' 30
expect "a pause is told" told 'STATUS=Paused'
kill -STOP "$(monitor_of "$guest")"
pause 1
before=$(grep -c WATCHDOG "$WORK/notify.events")
pause 9
expect "a monitor that hangs feeds no watchdog" test "$(grep -c WATCHDOG "$WORK/notify.events")" = "$before"
kill -CONT "$(monitor_of "$guest")"
kill "$guest"
wait_log 'Power button pressed' 60
kill "$guest"
wait_guest 60
expect "the end is told before devices are made quiet" told 'STOPPING=1 | STATUS=Stopping'
expect "and when it is over" told 'STATUS=Stopped'
for socket in relative /tmp/../etc/socket "/$(printf 'x%.0s' {1..200})"; do
  NOTIFY_SOCKET=$socket "$GPUVM" run "$WORK/plain.toml" --set boot.kernel=/nowhere 2>"$WORK/refused.log" || true
  expect "a socket that is none is refused, and the run goes on: ${socket:0:20}" \
    grep -q 'NOTIFY_SOCKET=.* told nothing' "$WORK/refused.log"
done
kill "$listener"
unset NOTIFY_SOCKET WATCHDOG_USEC

# The real one. Its unit is the one of the package.
mkdir -p /etc/gpuvm /usr/share/dbus-1
sed "s|^ExecStart=/usr/bin/gpuvm run|ExecStart=$(readlink -f "$GPUVM") run -v|" packaging/systemd/gpuvm@.service >/etc/systemd/system/gpuvm@.service
cp packaging/systemd/gpuvm.sysusers /etc/sysusers-gpuvm.conf
systemd-sysusers /etc/sysusers-gpuvm.conf
cp packaging/systemd/gpuvm.tmpfiles /etc/tmpfiles-gpuvm.conf
systemd-tmpfiles --create /etc/tmpfiles-gpuvm.conf
expect "the run folder is the group's to search" test "$(stat -c '%a %U:%G' /run/gpuvm)" = '750 root:gpuvm'
# The guest's console would be in the journal.
make_service() {
  make_guest "$1" "$2"
  printf '[console]\nserial = ["file:%s"]\n' "$WORK/$1.console" >>"$WORK/$1.toml"
  cp "$WORK/$1.toml" "/etc/gpuvm/$1.toml"
  CONSOLE=$WORK/$1.console
  LOG=$WORK/$1.log
  : >"$LOG"
  : >"$CONSOLE"
}
# await_console TEXT SECONDS: as wait_console, of a service: its process has another number here.
await_console() {
  local end=$((SECONDS + $2))
  until said_times "$1" 1; do
    ((SECONDS < end)) || { tail -n 5 "$CONSOLE"; return 1; }
    pause 0.5
  done
}
modprobe vfio-pci
start_systemd

make_service main "echo UP \$(cat /sys/class/dmi/id/product_uuid); $BUTTON" <<END
[[pci]]
host = "$DEVICE"
END
in_systemd systemctl start systemd-machined # the bus would, too; this emulator takes long for it
expect "the service starts" in_systemd systemctl start gpuvm@main
in_systemd journalctl --no-pager -o short-monotonic -u gpuvm@main
expect "it is ready when the guest's processors run" test "$(property gpuvm@main StatusText)" = Running
expect "the watchdog is on" test "$(property gpuvm@main WatchdogUSec)" = 1min
expect "the journal has the guest's name" grep -q . <(entries gpuvm@main.service GPUVM_NAME=main)
reset_id=$(sed -n 's/.*kDevicesResetId = "\(.*\)".*/\1/p' vmm/service/event_journal.hpp)
expect "and the reset of its device, by the message's id" \
  grep -q 'Reset of .*verified' <(entries gpuvm@main.service "MESSAGE_ID=$reset_id" "GPUVM_DEVICE=$DEVICE")
expect "the guest comes up" await_console '^UP .*.$' 180
uuid=$(sed -n 's/^UP //p' "$CONSOLE" | tr -d '\r-')
expect "machinectl lists the guest" grep -q '^main *vm *gpuvm' <(in_systemd machinectl list --no-pager --no-legend)
in_systemd machinectl list --no-pager || true
expect "with the UUID that the guest has" test "$(in_systemd machinectl show main --value -p Id)" = "$uuid"
expect "systemctl stop is the guest's power button" in_systemd systemctl stop gpuvm@main
expect "which powers off" grep -q 'The guest powers off' <(entries gpuvm@main.service)
expect_not "and there was no error" grep -q . <(entries gpuvm@main.service PRIORITY=3)
expect "the service is over" test "$(property gpuvm@main ActiveState)" = inactive
expect_not "and machinectl lists it no more" grep -q '^main' <(in_systemd machinectl list --no-pager --no-legend)

make_service waits 'sleep 8
until_true 20 grep -qx org.gpuvm.status /sys/class/virtio-ports/*/name
name=$(grep -lx org.gpuvm.status /sys/class/virtio-ports/*/name)
name=${name%/name}
echo READY >/dev/${name##*/}
echo UP
sleep 1000' <<END
[systemd]
ready = "guest"
[test]
status_port = true
END
in_systemd systemctl start --no-block gpuvm@waits
wait_property gpuvm@waits StatusText 'has not said yet' 120
expect "a guest that is waited for is not started yet" test "$(property gpuvm@waits ActiveState)" = activating
wait_property gpuvm@waits ActiveState '^active$' 180
expect "until it says that it is ready" test "$(property gpuvm@waits StatusText)" = Running
in_systemd systemctl stop --no-block gpuvm@waits
wait_property gpuvm@waits StatusText 'Waiting for the guest to power off' 30
in_systemd systemctl kill -s KILL gpuvm@waits
wait_property gpuvm@waits ActiveState '^(failed|inactive)$' 30

# What the unit takes from root is nothing that a guest needs: a tap on a bridge, passt, a shared folder, UEFI variables, a throwaway disk.
modprobe -a tun bridge dummy
ip link add br0 type bridge
ip link set br0 up
ip link add uplink type dummy
ip address add 192.0.2.9/24 dev uplink
ip link set uplink up
ip route add default via 192.0.2.1 || true
mkdir -p "$WORK/data" "$WORK/fixed"
echo shared-word >"$WORK/data/word"
echo fixed-word >"$WORK/fixed/word"
truncate -s 16M "$WORK/throw.raw"
chmod 600 "$WORK/throw.raw"
make_service keeps "
mkdir -p /data /fixed
mount -t virtiofs data /data && echo \"SHARED \$(cat /data/word)\" && echo from-guest >/data/back
mount -t virtiofs fixed /fixed && echo \"FIXED \$(cat /fixed/word)\"
until_true 20 test -e /sys/class/net/eth1
echo \"CARDS \$(ls /sys/class/net | grep -c eth)\"
echo UP
$BUTTON" <<END
[[net]]
mode = "tap"
tap = "vm0"
bridge = "br0"
[[net]]
mode = "user"
forward = ["tcp:2222:80"]
[[share]]
path = "$WORK/data"
tag = "data"
[[share]]
path = "$WORK/fixed"
tag = "fixed"
readonly = true
[[disk]]
path = "$WORK/throw.raw"
throwaway = true
END
with_vars() { sed -i "s|^\[boot\]|[boot]\nmode = \"efi-handover\"\nvars = \"$2\"|" "/etc/gpuvm/$1.toml"; }
with_vars keeps /var/lib/gpuvm/keeps.vars
expect "a guest with all kinds of helpers starts as a service" in_systemd systemctl start gpuvm@keeps
expect "and comes up" await_console '^UP' 300
in_systemd journalctl --no-pager -o cat -u gpuvm@keeps
expect "its shared folder" said_times '^SHARED shared-word' 1
expect "which it has written to" test "$(cat "$WORK/data/back" 2>/dev/null)" = from-guest
expect "its read-only shared folder" said_times '^FIXED fixed-word' 1
expect "its two network cards" said_times '^CARDS 2' 1
# Limits of another user's program are gpuvm's to change by CAP_SYS_RESOURCE, without which it would have left the program root.
disk_server=$(pgrep -o -f '^qemu-storage-daemon' || true)
expect "what serves its throwaway disk is not root" \
  test "$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/${disk_server:-none}/status")" = "$(id -u gpuvm-helper)"
expect "the tap is in the bridge" test -e /sys/class/net/br0/brif/vm0
expect "its variables are in the state folder" test -s /var/lib/gpuvm/keeps.vars
expect "which is root's alone" test "$(stat -c '%a %U' /var/lib/gpuvm)" = '700 root'
keeper=$(property gpuvm@keeps MainPID)
capabilities=$(in_systemd sed -n 's/^CapBnd:[[:space:]]*//p' "/proc/$keeper/status")
# CAP_SYS_MODULE, CAP_SYS_RAWIO, CAP_SYS_BOOT, CAP_SYS_TIME; linux/capability.h numbers them.
expect "it may load no modules, and other things that are none of its" \
  test $((0x${capabilities:-ffffffff} & (1 << 16 | 1 << 17 | 1 << 22 | 1 << 25))) = 0
expect "nor write kernel settings" in_systemd nsenter --target "$keeper" --mount sh -c '! test -w /proc/sys/kernel/core_pattern && test -r /proc/sys/kernel/core_pattern'
expect "it ends by its power button" in_systemd systemctl stop gpuvm@keeps
expect "without an error" test -z "$(entries gpuvm@keeps.service PRIORITY=3)"

# A relative path is beside the configuration, where a service may not write.
make_service relative 'echo UP' </dev/null
with_vars relative relative.vars
in_systemd systemctl start gpuvm@relative >"$WORK/relative.start" 2>&1 || true
wait_property gpuvm@relative ActiveState '^failed$' 60
expect "variables in /etc: status 78" test "$(property gpuvm@relative ExecMainStatus)" = 78
expect "and where they can be" grep -q 'move it to /var/lib/gpuvm/relative.vars' <(entries gpuvm@relative.service PRIORITY=3)

make_service wrong 'true' <<<'no_such_section = 1'
in_systemd systemctl start gpuvm@wrong >"$WORK/wrong.start" 2>&1 || true
pause 8
expect "a wrong configuration is not tried again" \
  test "$(property gpuvm@wrong ActiveState) $(property gpuvm@wrong ExecMainStatus) $(property gpuvm@wrong NRestarts)" = 'failed 78 0'
expect "its error is an error of the journal" grep -q no_such_section <(entries gpuvm@wrong.service PRIORITY=3)

# A member of the group, without any right of root's, on a device that is bound for it.
useradd --system --groups gpuvm,kvm member
lab-bind "$DEVICE"
number=$(basename "$(readlink "/sys/bus/pci/devices/$DEVICE/iommu_group")")
mkdir -p /etc/udev/rules.d
cp packaging/systemd/70-gpuvm.rules /etc/udev/rules.d/
for node in "vfio/$number" misc/kvm; do # no udevd runs here; udevadm does what it would
  udevadm test --action=add "/sys/class/$node" >>"$WORK/udev.log" 2>&1 || true
done
expect "udev gives the IOMMU group to the group, and KVM to its own" \
  test "$(stat -c '%a %G' "/dev/vfio/$number" /dev/kvm | tr '\n' ' ')" = '660 gpuvm 660 kvm '
chmod 666 /dev/vfio/vfio # as the kernel makes it
make_guest member "echo UP; $BUTTON" <<END
[[pci]]
host = "$DEVICE"
managed = false
END
mkdir -p /run/user/member
chown member /run/user/member
chmod -R a+rX "$WORK"
CONSOLE=$WORK/member.console LOG=$WORK/member.log
: >"$CONSOLE"
XDG_RUNTIME_DIR=/run/user/member prlimit --memlock=unlimited:unlimited setpriv --reuid=member --regid=member --init-groups --inh-caps=-all --bounding-set=-all \
  "$GPUVM" run "$WORK/member.toml" </dev/null >"$CONSOLE" 2>"$LOG" &
guest=$!
wait_console '^UP' 120 || true
expect "a member of the group has a guest with the device" guest_said '^UP'
kill "$guest" 2>/dev/null || true
wait_guest 120
cat "$LOG"
expect "and its run ends well" test "$guest_status" = 0
stop_systemd
finish
