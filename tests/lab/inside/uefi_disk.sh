#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/uefi.sh"

LOADER=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
LABEL=gpuvm-entry
ESP_MIB=64
before=$(host_state)

# What systemd-boot says of itself is in variables of its vendor, in UTF-16 after the attributes (systemd.io/BOOT_LOADER_INTERFACE).
REPORT='
modprobe efivarfs
mount -t efivarfs none /sys/firmware/efi/efivars
echo "CMDLINE $(cat /proc/cmdline)"
for name in LoaderInfo LoaderImageIdentifier LoaderDevicePartUUID; do
  echo "$name $(tail -c +5 /sys/firmware/efi/efivars/$name-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f | tr -d "\000")"
done
efibootmgr -v | sed "s/^/BOOTMGR /"
if grep -q MAKE-ENTRY /proc/cmdline && ! efibootmgr | grep -q '$LABEL'; then
  efibootmgr -q -c -d /dev/vdb -p 1 -L '$LABEL' -l "\\EFI\\gpuvm\\loader.efi" && echo ENTRY-MADE
  efibootmgr | sed "s/^/AFTERWARDS /"
fi
show_drivers
show_dmesg'

# make_esp NAME FILE: a FAT file system with the loader under two names, the kernel, the initrd, and an entry whose command line
# has NAME.
make_esp() {
  local name=$1 file=$2 tree=$WORK/esp
  rm -rf "$tree" "$file"
  mkdir -p "$tree"/EFI/{BOOT,gpuvm} "$tree/loader/entries"
  cp "$LOADER" "$tree/EFI/BOOT/BOOTX64.EFI"
  cp "$LOADER" "$tree/EFI/gpuvm/loader.efi"
  printf 'timeout 0\n' >"$tree/loader/loader.conf"
  printf 'title gpuvm\nlinux /vmlinuz\ninitrd /initrd\noptions %s disk=%s\n' "$CMDLINE" "$name" >"$tree/loader/entries/gpuvm.conf"
  ln -s "$LAB_GUEST_KERNEL" "$tree/vmlinuz"
  ln -s "$WORK/main.initrd" "$tree/initrd"
  truncate -s "${ESP_MIB}M" "$file"
  mkfs.vfat "$file"
  mcopy -s -i "$file" "$tree"/* ::/
}

# make_disk NAME: a GPT disk image $WORK/NAME.img with such a partition.
make_disk() {
  local disk=$WORK/$1.img
  make_esp "$1" "$WORK/esp.img"
  truncate -s $((ESP_MIB + 2))M "$disk"
  sfdisk -q "$disk" <<<"label: gpt
start=1MiB, size=${ESP_MIB}MiB, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name=$1"
  dd if="$WORK/esp.img" of="$disk" bs=1M seek=1 conv=notrunc,sparse status=none
}

# make_iso NAME: an ISO 9660 image that boots by El Torito from such a file system.
make_iso() {
  mkdir -p "$WORK/iso"
  make_esp "$1" "$WORK/iso/efi.img"
  xorriso -as mkisofs -quiet -V GPUVM -o "$WORK/$1.iso" -e efi.img -no-emul-boot "$WORK/iso"
}

# The guest's own configuration: no kernel, which the disk has.
make_config() {
  make_guest "$1" "$REPORT"
  sed -i '/^\(kernel\|initrd\|cmdline\) = /d' "$WORK/$1.toml"
}

part_uuid() { sfdisk --part-uuid "$WORK/$1.img" 1; }
# The guest's loader was started from the disk NAME.
started_from() { guest_said "^CMDLINE .*disk=$1" && guest_said "^LoaderDevicePartUUID $(part_uuid "$1")"; }

CMDLINE='console=ttyS0 quiet panic=-1 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 MAKE-ENTRY'
add_program main efibootmgr
make_config main <<END_OF_CONFIG
[[disk]]
path = "$WORK/first.img"
[[disk]]
path = "$WORK/second.img"
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END_OF_CONFIG
make_disk first
make_disk second
CMDLINE=${CMDLINE% *}
make_iso cd

test_boot_key() {
  start_guest main "${UEFI[@]}" --set disk.1.boot=true
  wait_guest 360
  expect "from a disk: power off ends gpuvm with status 0" test "$guest_status" = 0
  expect "the disk with boot = true is started from, not the first one" started_from second
  expect "by Debian's systemd-boot" guest_said '^LoaderInfo systemd-boot 252'
  expect "at the place for removable media" guest_said '^LoaderImageIdentifier .EFI.BOOT.BOOTX64.EFI'
  expect "the GPU has its driver" guest_driver 1234:1111 bochs-drm
  expect "the USB controller has its driver" guest_driver 1033:0194 xhci_hcd
  expect "the disks have theirs" guest_driver 1af4:1042 virtio-pci
  expect "efibootmgr makes an entry" guest_said '^ENTRY-MADE'
  check_uefi_dmesg
  cp "$CONSOLE" "$WORK/boot-key.console"
}

test_entry_lasts() {
  local number
  start_guest main "${UEFI[@]}" --set disk.1.boot=true
  wait_guest 360
  expect "next run: power off, status 0" test "$guest_status" = 0
  expect "next run: the entry is still there" guest_said "^BOOTMGR Boot.*$LABEL"
  expect "next run: from the same disk" started_from second
  expect "next run: what the entry names was started" guest_said '^LoaderImageIdentifier .EFI.gpuvm.loader.efi'
  number=$(sed -n "s/^BOOTMGR Boot\([0-9A-F]*\)\** $LABEL.*/\1/p" "$CONSOLE")
  expect "next run: and is what booted" guest_said "^BOOTMGR BootCurrent: ${number:-none}"
  cp "$CONSOLE" "$WORK/entry.console"
}

# Without boot = true and without variables: the firmware's order, which is that of the slots.
test_own_order() {
  rm "$VARS"
  start_guest main "${UEFI[@]}"
  wait_guest 360
  expect "without boot = true: the first disk" started_from first
}

test_iso() {
  make_config iso <<<"[[disk]]
path = \"$WORK/cd.iso\"
readonly = true
boot = true"
  start_guest iso "${UEFI[@]}"
  wait_guest 360
  expect "from an ISO image: power off, status 0" test "$guest_status" = 0
  expect "from an ISO image: its command line" guest_said '^CMDLINE .*disk=cd'
}

# LAB_UEFI_DISK_TESTS: some of them, while one works on them.
for test in ${LAB_UEFI_DISK_TESTS:-test_boot_key test_entry_lasts test_own_order test_iso}; do
  $test
done
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
