#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GUEST_INITRD=$LAB_HELPERS_INITRD
BUSYBOX=$PWD/build/lab/tools/busybox
disks=$WORK/disks
mkdir -p "$WORK/initrd-main" "$WORK/data" "$WORK/fixed" "$WORK/www" "$disks"
md5_of() { md5sum <"$1" | cut -d' ' -f1; }
head -c 4194304 /dev/urandom >"$disks/throw.raw"
qemu-img create -q -f qcow2 "$disks/main.qcow2" 64M
head -c 2000000 /dev/urandom >"$WORK/data/from-host"
echo fixed >"$WORK/fixed/file"
echo of-the-host >"$WORK/www/word"
# Images as root has them, and a file that is none of the helpers'.
echo secret >"$WORK/secret"
chmod 600 "$disks"/* "$WORK/secret"

# The network, as in net.sh: passt gives the guest the address of the uplink.
modprobe -a tun dummy
ip link add uplink type dummy
ip address add 192.0.2.9/24 dev uplink
ip link set uplink up
ip route add default via 192.0.2.1
"$BUSYBOX" httpd -p 127.0.0.1:8081 -h "$WORK/www"
cat >"$WORK/initrd-main/dhcp.sh" <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add "$ip/$mask" dev "$interface"
ip route add default via "$router" dev "$interface"
END
chmod 755 "$WORK/initrd-main/dhcp.sh"

make_guest main '
until_true 20 test -b /dev/vdb
until_true 20 test -e /sys/class/net/eth0
mkdir -p /data /fixed /www
mount -t virtiofs data /data && mount -t virtiofs fixed /fixed || echo NO-MOUNT
ip link set lo up
ip link set eth0 up
udhcpc -i eth0 -f -q -n -t 20 -T 1 -s /dhcp.sh >/dev/null 2>&1
echo of-the-guest >/www/word
httpd -h /www
direct_md5() { dd if=/dev/$1 iflag=direct bs=1M count=$2 2>/dev/null | md5sum | cut -d" " -f1; }
work() {
  head -c 8388608 /dev/urandom >/block
  dd if=/block of=/dev/vda bs=1M conv=fsync,notrunc 2>/dev/null
  echo "DISK $(md5sum </block | cut -d" " -f1) $(direct_md5 vda 8)"
  dd if=/block of=/dev/vdb bs=1M count=1 seek=1 conv=fsync,notrunc 2>/dev/null && echo "THROWN"
  echo "SHARE $(md5sum </data/from-host | cut -d" " -f1)"
  cp /block /data/from-guest && chown 1000:1000 /data/from-guest && chmod 640 /data/from-guest && sync
  echo "OWNED $(md5sum </data/from-guest | cut -d" " -f1)"
  echo "FIXED $(cat /fixed/file) $(touch /fixed/new 2>&1)"
  echo "NET $(wget -q -O - http://192.0.2.1:8081/word)"
  echo "WORK-END"
}
echo "THROW $(direct_md5 vdb 4)"
work
echo HOLD; read -r go
work
poweroff -f
' <<END
[machine]
memory = "256MiB"
[[disk]]
path = "$disks/main.qcow2"
format = "qcow2"
[[disk]]
path = "$disks/throw.raw"
throwaway = true
[[share]]
path = "$WORK/data"
tag = "data"
[[share]]
path = "$WORK/fixed"
tag = "fixed"
readonly = true
[[net]]
mode = "user"
forward = ["tcp:222:80"]
host_loopback = true
END

# field PID NAME: of its status, what is behind "NAME:", with single spaces.
field() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status" | tr -s '[:space:]' ' ' | sed 's/ $//'; }
# has_own PID NAMESPACE: it is not the lab host's.
has_own() { [[ $(readlink "/proc/$1/ns/$2") != "$(readlink "/proc/self/ns/$2")" ]]; }
# sees PID PATH: whether the file is in its tree.
sees() { test -e "/proc/$1/root$2"; }
# confined WHAT PID UID CAPABILITIES: what all of them have in common.
confined() {
  local what=$1 pid=$2 space
  expect "$what: no new privileges" test "$(field "$pid" NoNewPrivs)" = 1
  expect "$what: a filter of system calls" test "$(field "$pid" Seccomp)" = 2
  expect "$what: user $3" test "$(field "$pid" Uid)" = "$3 $3 $3 $3"
  expect "$what: no groups of root" test "$(field "$pid" Groups)" = ''
  expect "$what: capabilities $4" test "$(field "$pid" CapEff) $(field "$pid" CapPrm)" = "$4 $4"
  expect "$what: no core dump, not into a program either" grep -qE '^Max core file size +1 +1 ' "/proc/$pid/limits"
  expect "$what: nothing of gpuvm's environment" test "$(tr '\0' '\n' <"/proc/$pid/environ" | cut -d= -f1 | sort | tr '\n' ' ')" = 'LC_ALL PATH '
  for space in mnt ipc uts; do
    expect "$what: a namespace of its own: $space" has_own "$pid" "$space"
  done
  expect_not "$what: does not see files of others" sees "$pid" "$WORK/secret"
}
# worked TIMES: so often the guest has done its work, and all of it was right.
worked() {
  expect "$1: what the guest writes to its disk is there" \
    test "$(tr -d '\r' <"$CONSOLE" | grep -ac '^DISK \([0-9a-f]*\) \1$')" = "$1"
  expect "$1: the throwaway disk is written" test "$(grep -ac '^THROWN' "$CONSOLE")" = "$1"
  expect "$1: the shared folder is read" test "$(grep -ac "^SHARE $(md5_of "$WORK/data/from-host")" "$CONSOLE")" = "$1"
  expect "$1: and written" guest_said "^OWNED $(md5_of "$WORK/data/from-guest")"
  expect "$1: with owner and mode" test "$(stat -c '%u:%g %a' "$WORK/data/from-guest")" = '1000:1000 640'
  expect "$1: what is read-only stays so" test "$(grep -ac '^FIXED fixed .*Read-only file system' "$CONSOLE")" = "$1"
  expect "$1: the network leads to the host" test "$(grep -ac '^NET of-the-host' "$CONSOLE")" = "$1"
}
# The user that helpers become.
if id -u gpuvm-helper >/dev/null 2>&1; then user=$(id -u gpuvm-helper); else user=$(id -u nobody); fi

GPUVM_TEST_SECRET=token start_guest main
wait_console '^HOLD' 180
expect "the throwaway disk begins as its image" guest_said "^THROW $(md5_of "$disks/throw.raw")"
worked 1
expect "a port below 1024 leads to the guest" test "$("$BUSYBOX" wget -q -O - http://127.0.0.1:222/word)" = of-the-guest

mapfile -t servers < <(pgrep -f '^qemu-storage-daemon')
expect "a storage daemon for each disk" test "${#servers[@]}" = 2
for pid in "${servers[@]}"; do
  # Of root's image it needs the right to open it again.
  confined "storage daemon $pid" "$pid" "$user" 0000000000000002
  expect "storage daemon $pid: no network" has_own "$pid" net
  expect "storage daemon $pid: no processes but its own" has_own "$pid" pid
  expect "storage daemon $pid: two filters" test "$(field "$pid" Seccomp_filters)" -ge 2
  expect "storage daemon $pid: descriptors have a limit" grep -qE '^Max open files +1024 +1024 ' "/proc/$pid/limits"
  expect_not "storage daemon $pid: does not see the folder of its image" sees "$pid" "$disks"
done
mapfile -t sharers < <(pgrep -f '^virtiofsd --fd=3')
expect "two processes of virtiofsd for each folder" test "${#sharers[@]}" = 4
for pid in "${sharers[@]}"; do
  # The first one waits, without any right, for the one that serves.
  rights=$(field "$pid" CapEff)
  [[ $rights == 0000000000000000 ]] || rights=00000000800000db
  confined "virtiofsd $pid" "$pid" 0 "$rights"
  expect "virtiofsd $pid: no network" has_own "$pid" net
  expect "virtiofsd $pid: goes with a process namespace" has_own "$pid" pid
  expect "virtiofsd $pid: sees its folder alone" test "$(find "/proc/$pid/root/" -maxdepth 1 -name usr | wc -l)" = 0
done
mapfile -t networks < <(pgrep -f '^passt --quiet --fd')
expect "one passt" test "${#networks[@]}" = 1
confined passt "${networks[0]}" "$user" 0000000000000000
expect "passt: processes of its own" has_own "${networks[0]}" pid
expect "passt: users of its own" has_own "${networks[0]}" user

type_line go
wait_guest 120
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
worked 2
expect "qcow2 is sound" qemu-img check -q -f qcow2 "$disks/main.qcow2"
jq -r '.helpers | to_entries[] | .key as $helper | .value | to_entries[] | "\($helper): \(.key) \(.value.in_force)"' \
  "$WORK/main.inspect.json" | tee "$WORK/helpers"
for helper in 'disk-0 (qemu-storage-daemon)' 'disk-1 (qemu-storage-daemon)' 'net-0 (passt)' 'share data (virtiofsd)' 'share fixed (virtiofsd)'; do
  for layer in seccomp no_new_privs capabilities limits; do
    expect "inspect: $helper has $layer" grep -qxF "$helper: $layer true" "$WORK/helpers"
  done
done
expect "inspect: the storage daemon has Landlock" grep -qxF 'disk-0 (qemu-storage-daemon): landlock true' "$WORK/helpers"
expect_not "inspect: no layer that this kernel has is missing" grep -q 'false$' "$WORK/helpers"

# A hostile program in the place of each. First, unconfined: what it tries works, or the test shows nothing.
cat >"$WORK/payload" <<END
#!/usr/bin/perl
use Socket;
sub said { print STDERR "\$_[0]: ", (\$_[1] ? "done" : "refused"), "\n"; }
said("file", open(my \$a, "<", "$WORK/secret"));
said("device", open(my \$b, "+<", "/dev/kvm"));
said("ptrace", syscall(101, 1, \$\$, 0, 0) == -1 && \$! == 3); # ESRCH: nobody traces it
said("memory", syscall(310, \$\$, 0, 0, 0, 0, 0) == 0);
said("execution", syscall(9, 0, 4096, 7, 0x22, -1, 0) != -1);
said("keys", syscall(250, 0, -3, 1, 0, 0) != -1);
my (\$what, \$where, \$type) = ("none", "/proc", "tmpfs");
said("mount", syscall(165, \$what, \$where, \$type, 0, 0) == 0);
said("socket", socket(my \$c, AF_INET, SOCK_STREAM, 0));
said("signal", kill(0, 1));
said("program", system("/bin/true") == 0);
exit 1;
END
chmod 755 "$WORK/payload"
unshare -m "$WORK/payload" 2>"$WORK/unconfined" || true
cat "$WORK/unconfined"
expect "unconfined, the payload does all that it tries" test "$(grep -c ': done$' "$WORK/unconfined") $(wc -l <"$WORK/unconfined")" = '10 10'
# hostile WHAT PLACE REFUSED OPTION…: with the payload at PLACE the guest does not start, and each of REFUSED was refused.
hostile() {
  local what=$1 place=$2 got=0 thing
  mkdir -p "$(dirname "$place")"
  cp "$WORK/payload" "$place"
  timeout 120 "$GPUVM" run "$WORK/hostile.toml" "${@:4}" >/dev/null 2>"$WORK/hostile" </dev/null || got=$?
  rm "$place"
  cat "$WORK/hostile"
  expect "$what, hostile: the guest does not start" test "$got" = 69
  for thing in $3; do
    expect "$what, hostile: $thing is refused" grep -q "$thing: refused" "$WORK/hostile"
  done
}
sed '/^\[\[/,$d' "$WORK/main.toml" >"$WORK/hostile.toml"
hostile "storage daemon" /usr/local/bin/qemu-storage-daemon 'file device ptrace memory execution keys mount socket signal program' \
  --set "disk.0.path=$disks/main.qcow2" --set disk.0.format=qcow2
hostile virtiofsd /usr/libexec/virtiofsd 'file device ptrace memory execution keys program' --set "share.0.path=$WORK/data" --set share.0.tag=data
hostile passt /usr/local/bin/passt 'file device ptrace memory execution keys mount' --set net.0.mode=user
finish
