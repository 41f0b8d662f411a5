#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GUEST_INITRD=$LAB_DISK_INITRD
KILLS=${LAB_KILLS:-10}
BLOCKS=256
disks=$WORK/disks
mkdir -p "$disks/full" "$WORK"/initrd-{load,kill}
modprobe -a loop dm_mod dm_flakey

# device NAME TABLE: a device-mapper device; its node in $disks.
device() {
  dmsetup create "$1" --table "$2"
  dmsetup mknodes "$1"
  printf '/dev/mapper/%s\n' "$1"
}

# ---- Load and errors, in one guest.

truncate -s 64M "$disks/raw.img" "$disks/block.img" "$disks/kept.img"
qemu-img create -q -f qcow2 "$disks/cow.qcow2" 64M
truncate -s 8M "$disks/cut.img" "$disks/bad.img" "$disks/lie.img"
mount -t tmpfs -o size=2M tmpfs "$disks/full"
truncate -s 16M "$disks/full/disk.img"
block=$(losetup -f --show "$disks/block.img")
bad=$(losetup -f --show "$disks/bad.img")
lie=$(losetup -f --show "$disks/lie.img")
bad=$(device bad "0 8192 linear $bad 0
8192 8192 error")

make_guest load '
for disk in a b c d e f g h; do until_true 30 test -b /dev/vd$disk; done
mkdir /fio
mount -t ext4 -o ro,noload /dev/vdf /fio
mount -o bind /dev /fio/dev
mount -t proc proc /fio/proc
mount -t sysfs sysfs /fio/sys
mount -t tmpfs tmpfs /fio/tmp
echo "QUEUES $(ls /sys/block/vda/mq | wc -l) $(ls /sys/block/vdb/mq | wc -l)"
echo "SERIAL $(cat /sys/block/vda/serial)"
echo "DISCARD $(cat /sys/block/vda/queue/discard_max_bytes) $(cat /sys/block/vdb/queue/discard_max_bytes)"
verify() {
  chroot /fio /bin/fio --name=verify --filename=/dev/$1 --rw=randrw --bs=512-32k --size=6M --offset_increment=8M --numjobs=2 \
    --ioengine=libaio --iodepth=16 --direct=1 --fsync=32 --verify=crc32c --verify_fatal=1 --do_verify=1 --output-format=terse \
    --thread >/tmp/fio-$1 2>&1 && echo "VERIFIED $1" || { echo "NOT-VERIFIED $1"; tail -n 5 /tmp/fio-$1; }
}
for disk in vda vdb vdg vdh; do verify $disk; done
trim() { chroot /fio /bin/fio --name=trim --filename=/dev/$1 --rw=randtrimwrite --bs=64k --size=4M --offset=32M --ioengine=libaio \
  --iodepth=8 --direct=1 --thread >/tmp/fio-trim 2>&1 && echo "TRIMMED $1" || { echo "NOT-TRIMMED $1"; tail -n 5 /tmp/fio-trim; }; }
trim vda
fails() { if dd "$@" 2>/dev/null >/dev/null; then echo no; else echo yes; fi; }
echo "ENOSPC $(fails if=/dev/zero of=/dev/vdc bs=64k count=128 oflag=direct)"
echo "EIO $(fails if=/dev/vdd bs=64k skip=64 count=1 iflag=direct) $(fails if=/dev/vdd bs=64k count=1 iflag=direct)"
echo "CUT-BEFORE $(fails if=/dev/vde bs=64k count=1 iflag=direct)"
echo CUT; read -r go
echo "CUT-AFTER $(fails if=/dev/vde bs=64k count=1 iflag=direct)"
echo GROW; read -r go
for _ in $(seq 20); do [ "$(cat /sys/block/vda/size)" = 196608 ] && break; sleep 1; done
echo "GROWN $(cat /sys/block/vda/size)"
dd if=/dev/zero of=/dev/vda bs=64k seek=1200 count=1 oflag=direct 2>/dev/null && echo GROWN-WRITTEN
show_dmesg
' <<END
[machine]
memory = "768MiB"
cpus = 2
[[disk]]
path = "$disks/raw.img"
cache = "none"
serial = "first-disk"
[[disk]]
path = "$block"
cache = "none"
discard = false
queues = 1
[[disk]]
path = "$disks/full/disk.img"
[[disk]]
path = "$bad"
[[disk]]
path = "$disks/cut.img"
[[disk]]
path = "$LAB_FIO_DISK"
readonly = true
[[disk]]
path = "$disks/cow.qcow2"
format = "qcow2"
[[disk]]
path = "$disks/kept.img"
throwaway = true
END

start_guest load
wait_console '^CUT.$' 600
truncate -s 0 "$disks/cut.img"
type_line go
wait_console '^GROW.$' 60
truncate -s 96M "$disks/raw.img"
type_line go
wait_guest 120
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "a queue for each vCPU, or as many as are wanted" guest_said '^QUEUES 2 1'
expect "the serial number is the chosen one" guest_said '^SERIAL first-disk'
expect "discard is offered, or not" guest_said '^DISCARD [1-9][0-9]* 0'
expect "fio finds what it wrote, on a file past the page cache" guest_said '^VERIFIED vda'
expect "and on a block device" guest_said '^VERIFIED vdb'
expect "on a qcow2 image" guest_said '^VERIFIED vdg'
expect "which is sound afterwards" qemu-img check -q -f qcow2 "$disks/cow.qcow2"
expect "and on a throwaway disk" guest_said '^VERIFIED vdh'
expect "whose file has no block" test "$(stat -c %b "$disks/kept.img")" = 0
expect "a guest trims" guest_said '^TRIMMED vda'
expect "a full file system is an I/O error" guest_said '^ENOSPC yes'
expect "bad blocks are an I/O error, others are read" guest_said '^EIO yes no'
expect "a file is read until it is cut" guest_said '^CUT-BEFORE no'
expect "then reading is an I/O error" guest_said '^CUT-AFTER yes'
expect "a file that grows is a larger disk" guest_said '^GROWN 196608'
expect "which can be written to its end" guest_said '^GROWN-WRITTEN'
expect "io_uring serves" grep -q '"engine": *"io_uring"' "$WORK/load.inspect.json"
expect "past the page cache" grep -q '"cache": *"none"' "$WORK/load.inspect.json"

# ---- Kills while a guest writes.

cp "$LAB_OUT/flush_writer" "$WORK/initrd-kill/"
GUEST_INITRD=$LAB_DISK_INITRD make_guest kill '
until_true 30 test -b /dev/vda
/flush_writer /dev/vda '$BLOCKS'
' <<END
[machine]
memory = "256MiB"
[[disk]]
path = "$disks/kill.img"
END

# killed FLUSHES OPTION…: a guest that is killed once it has said so often that all is stable; the last number it said in $flushed.
killed() {
  start_guest kill "${@:2}"
  wait_console '^FLUSHED' 120 "$1"
  kill_gpuvm "$guest"
  wait_guest 20
  flushed=$(grep -ao '^FLUSHED [0-9]*' "$CONSOLE" | sed '$!d; s/.* //')
}

caches=(none writeback)
for ((run = 0; run < KILLS; run++)); do
  cache=${caches[run % 2]}
  rm -f "$disks/kill.img"
  truncate -s 1M "$disks/kill.img"
  killed $((3 + run * 4)) --set "disk.0.cache=$cache"
  expect "kill $run, $cache: $flushed blocks were flushed, and none is lost" tests/lab/lib/flushed.pl "$disks/kill.img" $BLOCKS "$flushed"
  cat "$WORK/expect"
done

# The same on a device that says yes to everything and writes nothing (dm-flakey, drop_writes): the judge must see that.
lying=$(device lie "0 2048 flakey $lie 0 0 3600 1 drop_writes")
killed 5 --set "disk.0.path=$lying" --set disk.0.cache=none
expect_not "a device that lies is found out" tests/lab/lib/flushed.pl "$disks/lie.img" $BLOCKS "$flushed"
cat "$WORK/expect"
finish
