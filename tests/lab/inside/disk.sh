#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GUEST_INITRD=$LAB_DISK_INITRD
MIB=64
disks=$WORK/disks
mkdir -p "$disks/tree" "$WORK/initrd-main"
# No multiple of a sector, so that every sector written is another one.
head -c 1049087 /dev/urandom >"$WORK/initrd-main/tile"
truncate -s 80M "$disks/main.img"
head -c 1048576 /dev/urandom >"$disks/fixed.img"
head -c 300000 /dev/urandom >"$disks/tree/before"
truncate -s 16M "$disks/ext4.img"
mke2fs -q -t ext4 -d "$disks/tree" "$disks/ext4.img"
fixed_md5=$(md5sum <"$disks/fixed.img" | cut -d' ' -f1)

# The first life writes; the second, after a reboot, finds the last sector marked.
make_guest main '
until_true 20 test -b /dev/vda
until_true 20 test -b /dev/vdb
until_true 20 test -b /dev/vdc
pattern() { for _ in $(seq '$MIB'); do cat /tile; done | head -c $(('$MIB' * 1048576)); }
read_back() { dd if=/dev/vda iflag=direct bs=1M count='$MIB' 2>/dev/null | md5sum | cut -d" " -f1; }
if [ "$(dd if=/dev/vda bs=512 skip=163839 count=1 2>/dev/null | head -c 6)" = MARKED ]; then
  echo "SECOND-LIFE"
  echo "KEPT-MD5 $(read_back)"
  mkdir /mnt
  mount -t ext4 -o ro /dev/vdc /mnt && echo "KEPT-FILE $(md5sum </mnt/after | cut -d" " -f1)"
  umount /mnt
  show_dmesg
  exit
fi
for disk in vda vdb vdc; do
  echo "DISK $disk $(cat /sys/block/$disk/size) $(cat /sys/block/$disk/ro) $(cat /sys/block/$disk/serial)"
done
grep -q "MSI.*virtio.*-req" /proc/interrupts && echo "MSI-VECTORS 1"
cat /sys/block/vda/queue/write_cache
echo WRITE; read -r go
pattern | dd of=/dev/vda bs=1M iflag=fullblock conv=fsync 2>/dev/null
echo WRITTEN; read -r go
echo "READ-MD5 $(read_back)"
echo READ; read -r go
dd if=/dev/zero of=/dev/vdb bs=512 count=1 2>/dev/null && echo READ-ONLY-WRITTEN
echo "FIXED-MD5 $(md5sum </dev/vdb | cut -d" " -f1)"
mkdir /mnt
mount -t ext4 /dev/vdc /mnt && echo "FILE-MD5 $(md5sum </mnt/before | cut -d" " -f1)"
head -c 200000 /tile >/mnt/after
umount /mnt
echo 0000:00:10.0 >/sys/bus/pci/drivers/virtio-pci/unbind
[ -b /dev/vda ] || echo GONE
echo 0000:00:10.0 >/sys/bus/pci/drivers/virtio-pci/bind
until_true 20 test -b /dev/vda
printf MARKED | dd of=/dev/vda bs=512 seek=163839 conv=fsync,notrunc 2>/dev/null && echo BACK
echo 0000:00:11.0 >/sys/bus/pci/drivers/virtio-pci/unbind
echo 0 >/sys/bus/pci/devices/0000:00:11.0/msi_bus
echo 0000:00:11.0 >/sys/bus/pci/drivers/virtio-pci/bind
until_true 20 test -b /dev/vdb
echo "PIN-MD5 $(dd if=/dev/vdb iflag=direct bs=64k 2>/dev/null | md5sum | cut -d" " -f1)"
grep -c "IO-APIC.*virtio" /proc/interrupts | sed "s/^/PINS /"
echo HOLD; read -r go
reboot -f
' <<END
[machine]
memory = "512MiB"
[[disk]]
path = "$disks/main.img"
[[disk]]
path = "$disks/fixed.img"
readonly = true
[[disk]]
path = "$disks/ext4.img"
END

# exits_now: VM exits, those for host interrupts left out, and those that reach gpuvm.
exits_now() {
  local stats=/sys/kernel/debug/kvm
  exits+=($(($(<$stats/exits) - $(<$stats/irq_exits))))
  mmio+=("$(<$stats/mmio_exits)")
}
declare -a exits=() mmio=()
# per_mib WHAT N: between the Nth call of exits_now and the next.
per_mib() {
  awk -v what="$1" -v mib=$MIB -v exits=$((exits[$2 + 1] - exits[$2])) -v mmio=$((mmio[$2 + 1] - mmio[$2])) \
    'BEGIN { printf "%s %d MiB: %.1f VM exits per MiB, %.2f of them MMIO\n", what, mib, exits / mib, mmio / mib }'
}

# refused WHAT STATUS TEXT OPTION…: the same guest, changed, must not start.
refused() {
  local got=0
  timeout 60 "$GPUVM" run -q --set name=refused "$WORK/main.toml" "${@:4}" >/dev/null 2>"$WORK/refused" </dev/null || got=$?
  cat "$WORK/refused"
  expect "$1: exit status $2" test "$got" = "$2"
  expect "$1: one line that says '$3'" test "$(grep -c -- "$3" "$WORK/refused") $(wc -l <"$WORK/refused")" = '1 1'
}

refused "absent image" 78 "There is no $disks/absent" --set "disk.0.path=$disks/absent"
refused "a directory for a disk" 78 'is a directory' --set "disk.0.path=$disks"
refused "an odd size" 78 'has 300000 bytes' --set "disk.0.path=$disks/tree/before"

start_guest main
wait_console '^WRITE' 120
exits_now
type_line go
wait_console '^WRITTEN' 120
exits_now
type_line go
wait_console '^READ.$' 120
exits_now
type_line go
wait_console '^HOLD' 60
refused "a disk that another guest writes" 69 'main.img is in use by another guest'
refused "a reader beside a writer" 69 'in use by another guest' --set disk.0.readonly=true
refused "a writer beside a reader" 69 'in use by another guest' --set "disk.0.path=$disks/fixed.img" --set "disk.1.path=$disks/ext4.img" --set 'disk.2.path="/dev/null"'
type_line go
wait_guest 120

expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the first disk: size, writable, name" guest_said '^DISK vda 163840 0 gpuvm-disk-0'
expect "the second disk: size, read-only, name" guest_said '^DISK vdb 2048 1 gpuvm-disk-1'
expect "the third disk" guest_said '^DISK vdc 32768 0 gpuvm-disk-2'
expect "interrupts come as MSI" guest_said '^MSI-VECTORS 1'
expect "the guest knows of the write cache" guest_said '^write back'
md5=$(head -c $((MIB * 1048576)) "$disks/main.img" | md5sum | cut -d' ' -f1)
expected=$(perl -e 'local $/; my $tile = <STDIN>; print substr($tile x (1 + $ARGV[0] / length $tile), 0, $ARGV[0])' \
  $((MIB * 1048576)) <"$WORK/initrd-main/tile" | md5sum | cut -d' ' -f1)
expect "the file holds what the guest wrote" test "$md5" = "$expected"
expect "the guest reads it back past its page cache" guest_said "^READ-MD5 $md5"
expect_not "a read-only disk is not written" guest_said '^READ-ONLY-WRITTEN'
expect "a read-only disk is read, and as it was" guest_said "^FIXED-MD5 $fixed_md5"
expect "the read-only file is as it was" test "$(md5sum <"$disks/fixed.img" | cut -d' ' -f1)" = "$fixed_md5"
expect "an ext4 file system mounts and its file is right" guest_said "^FILE-MD5 $(md5sum <"$disks/tree/before" | cut -d' ' -f1)"
expect "the driver lets go of the disk" guest_said '^GONE'
expect "and takes it again" guest_said '^BACK'
expect "without MSI a disk interrupts by its pin" guest_said '^PINS 1'
expect "and is read as well" guest_said "^PIN-MD5 $fixed_md5"
expect "the guest rebooted" guest_said '^SECOND-LIFE'
expect "the disk's bytes survive the reboot" guest_said "^KEPT-MD5 $md5"
after_md5=$(head -c 200000 "$WORK/initrd-main/tile" | md5sum | cut -d' ' -f1)
expect "the file system's, too" guest_said "^KEPT-FILE $after_md5"
expect "the file system is clean" e2fsck -fn "$disks/ext4.img"
debugfs -R "cat /after" "$disks/ext4.img" 2>/dev/null >"$WORK/after"
expect "the file that the guest made is in it" test "$(md5sum <"$WORK/after" | cut -d' ' -f1)" = "$after_md5"
expect "no doorbell of the three disks and the entropy device exited to gpuvm" test \
  "$(grep -o '"doorbells_that_exited": *[0-9]*' "$WORK/main.inspect.json" | grep -c ': *0$')" = 4
check_dmesg
per_mib writing 0
per_mib reading 1
expect "the transfers cause hardly any MMIO exit" test $((mmio[2] - mmio[0])) -lt 20
finish
