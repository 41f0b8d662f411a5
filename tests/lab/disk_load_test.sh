#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Disks under load and with errors: fio's verification on a raw file and a block device with several queues, on a qcow2 image and a
# throwaway disk; kills while a guest writes (LAB_KILLS, 10), a file system that is full, a device with bad blocks, files that shrink
# and grow.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

for program in qemu-storage-daemon qemu-img; do
  command -v "$program" >/dev/null \
    || { echo "$program is missing; install it as root: apt-get install qemu-system-common qemu-utils" >&2; exit 1; }
done
use_kernel 6.12
LAB_DISK_INITRD=$REPO/build/lab/test-guest-6.12-disk.cpio.gz
if [[ ! -s $LAB_DISK_INITRD || scripts/guest-image -nt $LAB_DISK_INITRD || tests/lab/guest/init -nt $LAB_DISK_INITRD ]]; then
  scripts/guest-image --kernel 6.12 --out "$LAB_DISK_INITRD" --modules virtio_pci,virtio_blk,ext4 >&2
fi
fresh_out
cc -O1 -static -o "$OUT/flush_writer" tests/lab/guest/flush_writer.c
# fio and its libraries are too large for an initrd that is emulated: they are a disk.
LAB_FIO_DISK=$REPO/build/lab/fio.ext4
if [[ ! -s $LAB_FIO_DISK || $(command -v fio) -nt $LAB_FIO_DISK ]]; then
  tree=$(mktemp -d)
  mkdir -p "$tree"/{bin,dev,proc,sys,tmp}
  cp -L "$(command -v fio)" "$tree/bin/"
  ldd "$tree/bin/fio" | grep -o '/[^ ]*' | while read -r library; do
    [[ -e $tree$library ]] || cp -L --parents "$library" "$tree"
  done
  truncate -s 160M "$LAB_FIO_DISK.tmp"
  mke2fs -q -t ext4 -d "$tree" "$LAB_FIO_DISK.tmp"
  mv "$LAB_FIO_DISK.tmp" "$LAB_FIO_DISK"
  rm -rf "$tree"
fi
export LAB_DISK_INITRD LAB_FIO_DISK
inside none disk_load.sh --timeout 2400
