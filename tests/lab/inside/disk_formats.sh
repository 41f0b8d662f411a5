#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GUEST_INITRD=$LAB_DISK_FORMATS_INITRD
disks=$WORK/disks
mkdir -p "$disks/elsewhere" "$WORK/initrd-main"
md5_of() { md5sum <"$1" | cut -d' ' -f1; }
# raw_md5 FORMAT IMAGE: of what a guest sees.
raw_md5() {
  qemu-img convert -f "$1" -O raw "$2" "$WORK/converted"
  md5_of "$WORK/converted"
}
head -c 1049087 /dev/urandom >"$WORK/initrd-main/tile"
for name in base throw some; do
  head -c 4194304 /dev/urandom >"$disks/$name.raw"
done
some_md5=$(md5_of "$disks/some.raw")
throw_md5=$(md5_of "$disks/throw.raw")
base_md5=$(md5_of "$disks/base.raw")
for format in vmdk vdi vhdx; do
  qemu-img convert -O "$format" "$disks/some.raw" "$disks/some.$format"
done
qemu-img create -q -f qcow2 "$disks/main.qcow2" 64M
qemu-img create -q -f qcow2 -b base.raw -F raw "$disks/over.qcow2" 8M
# Outside of what main.toml names.
qemu-img create -q -f qcow2 -b "$disks/some.raw" -F raw "$disks/elsewhere/escapes.qcow2"
cp "$disks/base.raw" "$disks/gone.raw"
qemu-img create -q -f qcow2 -b gone.raw -F raw "$disks/orphan.qcow2"
rm "$disks/gone.raw"
qemu-img create -q -f qcow2 --object secret,id=key,data=abcdef -o encrypt.format=luks,encrypt.key-secret=key \
  "$disks/secret.qcow2" 1M

make_guest main '
for disk in a b c d e f; do until_true 20 test -b /dev/vd$disk; done
direct_md5() { dd if=/dev/$1 iflag=direct bs=1M count=$2 2>/dev/null | md5sum | cut -d" " -f1; }
pattern() { for _ in $(seq 16); do cat /tile; done | head -c 16777216; }
if [ "$(dd if=/dev/vda bs=512 skip=131071 count=1 2>/dev/null | head -c 6)" = MARKED ]; then
  echo "SECOND-LIFE"
  echo "KEPT-MAIN $(direct_md5 vda 16)"
  echo "KEPT-THROW $(direct_md5 vdc 4)"
  show_dmesg
  poweroff -f
fi
for disk in a b c d e f; do
  echo "DISK vd$disk $(cat /sys/block/vd$disk/size) $(cat /sys/block/vd$disk/ro) $(cat /sys/block/vd$disk/queue/write_cache)"
done
for disk in d e f; do echo "MD5 vd$disk $(direct_md5 vd$disk 4)"; done
echo "MD5 vdb $(direct_md5 vdb 4)"
echo "MD5 vdc $(direct_md5 vdc 4)"
pattern | dd of=/dev/vda bs=1M iflag=fullblock conv=fsync 2>/dev/null
echo "WRITTEN vda $(direct_md5 vda 16)"
head -c 1048576 /tile | dd of=/dev/vdb bs=1M seek=6 iflag=fullblock conv=fsync,notrunc 2>/dev/null && echo "WRITTEN vdb"
head -c 1048576 /tile | dd of=/dev/vdc bs=1M seek=1 iflag=fullblock conv=fsync,notrunc 2>/dev/null
echo "WRITTEN vdc $(direct_md5 vdc 4)"
dd if=/dev/zero of=/dev/vdd bs=512 count=1 2>/dev/null && echo READ-ONLY-WRITTEN
echo 0000:00:10.0 >/sys/bus/pci/drivers/virtio-pci/unbind
echo 0000:00:10.0 >/sys/bus/pci/drivers/virtio-pci/bind
until_true 20 test -b /dev/vda
printf MARKED | dd of=/dev/vda bs=512 seek=131071 conv=fsync,notrunc 2>/dev/null && echo BACK
echo HOLD; read -r go
reboot -f
' <<END
[machine]
memory = "384MiB"
cpus = 2
[[disk]]
path = "$disks/main.qcow2"
format = "qcow2"
[[disk]]
path = "$disks/over.qcow2"
format = "qcow2"
cache = "none"
[[disk]]
path = "$disks/throw.raw"
throwaway = true
[[disk]]
path = "$disks/some.vmdk"
format = "vmdk"
readonly = true
[[disk]]
path = "$disks/some.vdi"
format = "vdi"
readonly = true
[[disk]]
path = "$disks/some.vhdx"
format = "vhdx"
readonly = true
END

# The lab host sees what is in the machine's own folders, too.
left_files() { find /var/tmp /tmp -maxdepth 1 -name 'gpuvm-*' | sort; }
files_before=$(left_files)
servers() { pgrep -fc '^qemu-storage-daemon' || true; }
no_servers() {
  local tries
  for ((tries = 0; tries < 50; tries++)); do
    [[ $(servers) != 0 ]] || return 0
    pause 0.1
  done
  pgrep -fa '^qemu-storage-daemon'
  return 1
}
# refused WHAT STATUS TEXT OPTION…: the same guest, changed, must not start.
refused() {
  local got=0
  timeout 60 "$GPUVM" run -q --set name=refused "$WORK/main.toml" "${@:4}" >/dev/null 2>"$WORK/refused" </dev/null || got=$?
  cat "$WORK/refused"
  expect "$1: exit status $2" test "$got" = "$2"
  expect "$1: one line that says '$3'" test "$(grep -c -- "$3" "$WORK/refused") $(wc -l <"$WORK/refused")" = '1 1'
}
refused "a backing file that is gone" 78 "Cannot open $disks/gone.raw" --set "disk.0.path=$disks/orphan.qcow2"
refused "a backing file outside the folder" 78 "some.raw, outside the image's folder" --set "disk.0.path=$disks/elsewhere/escapes.qcow2"
refused "an encrypted image" 78 'is encrypted' --set "disk.0.path=$disks/secret.qcow2"
refused "another format" 78 'is no qcow2 image but a vmdk one' --set "disk.0.path=$disks/some.vmdk" --set "disk.3.path=$disks/other"
refused "a serial number" 78 'serial cannot be given' --set disk.0.serial=mine
no_servers

start_guest main
wait_console '^HOLD' 180
expect "a server for each disk" test "$(servers)" = 6
refused "an image that another guest has" 69 'Failed to get .*lock' --set "disk.1.path=$disks/some.raw" --set disk.1.format=raw
type_line go
wait_guest 120
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the servers end with it" no_servers
expect "qcow2: size, writable, its write cache" guest_said '^DISK vda 131072 0 write back'
expect "an image over a smaller one" guest_said '^DISK vdb 16384 0 write back'
expect "a throwaway disk" guest_said '^DISK vdc 8192 0 write back'
for disk in vdd vde vdf; do
  expect "$disk: read-only" guest_said "^DISK $disk 8192 1"
  expect "$disk: its bytes" guest_said "^MD5 $disk $some_md5"
done
expect "what lies below is seen" guest_said "^MD5 vdb $base_md5"
expect "the throwaway disk begins as the image" guest_said "^MD5 vdc $throw_md5"
pattern_md5=$(perl -e 'local $/; my $tile = <STDIN>; print substr($tile x 17, 0, 16777216)' <"$WORK/initrd-main/tile" | md5sum | cut -d' ' -f1)
expect "the guest reads back what it wrote" guest_said "^WRITTEN vda $pattern_md5"
expect "it writes over what lies below" guest_said '^WRITTEN vdb'
cp "$disks/throw.raw" "$WORK/thrown"
dd if="$WORK/initrd-main/tile" of="$WORK/thrown" bs=1M seek=1 count=1 conv=notrunc status=none
thrown_md5=$(md5_of "$WORK/thrown")
expect "the throwaway disk is written" guest_said "^WRITTEN vdc $thrown_md5"
expect_not "a read-only disk is not" guest_said '^READ-ONLY-WRITTEN'
expect "the driver lets go of a disk and takes it again" guest_said '^BACK'
expect "the guest rebooted" guest_said '^SECOND-LIFE'
expect "the bytes survive the reboot" guest_said "^KEPT-MAIN $pattern_md5"
expect "those of the throwaway disk, too" guest_said "^KEPT-THROW $thrown_md5"
expect "and are gone afterwards" test "$(md5_of "$disks/throw.raw")" = "$throw_md5"
expect "what lies below is as it was" test "$(md5_of "$disks/base.raw")" = "$base_md5"
expect "no file of it is left" test "$(left_files)" = "$files_before"
for image in main over; do
  expect "$image.qcow2 is sound" qemu-img check -q -f qcow2 "$disks/$image.qcow2"
done
raw_md5 qcow2 "$disks/main.qcow2" >/dev/null
expect "the image holds what the guest wrote" test "$(head -c 16777216 "$WORK/converted" | md5sum | cut -d' ' -f1)" = "$pattern_md5"
check_dmesg

# Kills while the guest writes blocks, one after the other, and says of each when it is flushed.
make_guest writer '
until_true 20 test -b /dev/vda
number=0
while [ $number -lt 900 ]; do
  yes "block $number of $(cat /proc/sys/kernel/random/boot_id)" | head -c 65536 >/block
  sum=$(md5sum </block | cut -d" " -f1)
  dd if=/block of=/dev/vda bs=64k seek=$number conv=fsync,notrunc 2>/dev/null || { echo WRITE-FAILED; break; }
  echo "FLUSHED $number $sum"
  number=$((number + 1))
done
' <<END
[machine]
memory = "256MiB"
[[disk]]
path = "$disks/kills.qcow2"
format = "qcow2"
END
# missing_blocks RAW: how many of the blocks that the guest has flushed are not there.
missing_blocks() {
  local number sum missing=0
  while read -r number sum; do
    [[ $(dd if="$1" bs=64k skip="$number" count=1 status=none | md5sum | cut -d' ' -f1) == "$sum" ]] || missing=$((missing + 1))
  done < <(tr -d '\r' <"$CONSOLE" | sed -n 's/^FLUSHED \([0-9]*\) \([0-9a-f]\{32\}\)$/\1 \2/p')
  echo "$missing"
}
# sound_image: leaked clusters (3) are no loss.
sound_image() {
  local status=0
  qemu-img check -f qcow2 "$disks/kills.qcow2" || status=$?
  [[ $status == 0 || $status == 3 ]]
}
sure=0
# one_kill WHAT: of "server" or "gpuvm".
one_kill() {
  qemu-img create -q -f qcow2 "$disks/kills.qcow2" 64M # so that each block is a new cluster
  start_guest writer
  wait_console "^FLUSHED $((RANDOM % 5 + 2)) " 120
  pause "0.$((RANDOM % 1000 + 1000))"
  if [[ $1 == server ]]; then
    pkill -KILL -f '^qemu-storage-daemon'
    wait_guest 60
    ((guest_status == 69)) && logged 'disk-0 is gone, and the guest cannot go on: qemu-storage-daemon has ended (signal 9)' || return 1
  else
    kill_gpuvm "$guest"
    wait_guest 60
  fi
  no_servers || return 1
  sound_image || return 1
  raw_md5 qcow2 "$disks/kills.qcow2" >/dev/null
  [[ $(missing_blocks "$WORK/converted") == 0 ]] || return 1
  sure=$((sure + 1))
}
kills=$LAB_DISK_KILLS
for ((round = 0; round < kills; round++)); do
  one_kill server || { echo "round $round: status $guest_status"; tail -n 3 "$LOG" "$CONSOLE"; }
done
expect "$kills kills of the server: a clear end each time, and what was flushed is there" test "$sure" = "$kills"
dd if=/dev/zero of="$WORK/converted" bs=64k seek=1 count=1 conv=notrunc status=none
expect "the check finds a block that is missing" test "$(missing_blocks "$WORK/converted")" = 1
sure=0
kills=$LAB_DISK_MONITOR_KILLS
for ((round = 0; round < kills; round++)); do
  one_kill gpuvm || { echo "round $round"; tail -n 3 "$LOG" "$CONSOLE"; }
done
expect "$kills kills of gpuvm: no server is left, and what was flushed is there" test "$sure" = "$kills"
finish
