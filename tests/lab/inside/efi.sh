#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# The ROM as the host's kernel reads it.
setpci -s 01:00.0 COMMAND=2:2
echo 1 >/sys/bus/pci/devices/0000:01:00.0/rom
cat /sys/bus/pci/devices/0000:01:00.0/rom >"$WORK/gpu.rom"
want=$(md5sum <"$WORK/gpu.rom" | cut -d' ' -f1)
echo "the GPU's ROM: $(stat -c %s "$WORK/gpu.rom") bytes, $want"

PCI='[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"'
# struct setup_data's contents start with the 48 bytes of struct pci_setup_rom before the image.
REPORT='
for f in /sys/kernel/boot_params/setup_data/*/type; do
  [ "$(cat $f)" = 0x3 ] || continue
  data=${f%type}data
  echo "SETUP-PCI $(dd if=$data bs=48 skip=1 2>/dev/null | md5sum | cut -d" " -f1) $(dd if=$data bs=48 count=1 2>/dev/null | od -An -tx1 | tr -d " \n")"
done
grep -a "Kernel code" /proc/iomem | sed "s/^/BASE /"
grep -m1 " _text$" /proc/kallsyms | sed "s/^/TEXT /"
for f in 0 1; do echo "DRIVER $f $(basename $(readlink /sys/bus/pci/devices/0000:01:00.$f/driver) 2>/dev/null)"; done
[ -d /sys/firmware/efi ] && echo EFI-PRESENT $(cat /sys/firmware/efi/fw_platform_size)
VAR=/sys/firmware/efi/efivars/GpuvmTest-12345678-1234-1234-1234-123456789abc
modprobe efivarfs; mount -t efivarfs none /sys/firmware/efi/efivars
echo "VARIABLE $(od -An -tx1 $VAR 2>&1 | tr -d " \n")"
chattr -i $VAR 2>/dev/null # efivarfs protects what it does not know
printf "\007\000\000\000%s" "$(grep -o "value=[a-z]*" /proc/cmdline)" >/tmp/v && dd if=/tmp/v of=$VAR bs=4096 2>/dev/null && echo "WRITTEN $(od -An -tx1 $VAR | tr -d " \n")"
'
# The serial console is slow, one VM exit for each byte: the kernel's log is printed once.
KERNEL_LOG='echo DMESG-BEGIN; dmesg; echo DMESG-END'
EFI_OPTIONS=(--set boot.mode=efi-handover --set boot.vars="$WORK/guest.vars")

GUEST_CMDLINE="value=first reboot=efi guest.end=reboot" make_guest first "$REPORT$KERNEL_LOG" <<<"$PCI"
start_guest first "${EFI_OPTIONS[@]}" --set machine.on_reboot=exit
wait_guest 120
expect "a reboot through EFI ends gpuvm with status 32 (on_reboot = exit)" test "$guest_status" = 32
expect "there is /sys/firmware/efi, 64 bits" guest_said '^EFI-PRESENT 64'
expect "a variable was written" guest_said "^WRITTEN 07000000$(printf value=first | od -An -tx1 | tr -d ' \n')"
expect "a SETUP_PCI node holds the GPU's ROM" guest_said "^SETUP-PCI $want"
expect "the log says how the kernel was entered" grep -q 'starts by the EFI handover protocol' "$LOG"
expect "the GPU has its driver" guest_said '^DRIVER 0 bochs-drm'
check_dmesg "$CONSOLE"
base_first=$(grep -a '^BASE' "$CONSOLE") text_first=$(grep -a '^TEXT' "$CONSOLE")

GUEST_CMDLINE="value=second" make_guest second "$REPORT" </dev/null
start_guest second "${EFI_OPTIONS[@]}"
wait_guest 120
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the variable of the first run is there" guest_said "^VARIABLE 07000000$(printf value=first | od -An -tx1 | tr -d ' \n')"
expect "the variable was changed" guest_said "^WRITTEN 07000000$(printf value=second | od -An -tx1 | tr -d ' \n')"
echo "first:  $base_first / $text_first"
echo "second: $(grep -a '^BASE' "$CONSOLE") / $(grep -a '^TEXT' "$CONSOLE")"
expect "the kernel was at another physical address (KASLR)" test "$base_first" != "$(grep -a '^BASE' "$CONSOLE")"
expect "the kernel was at another virtual address (KASLR)" test "$text_first" != "$(grep -a '^TEXT' "$CONSOLE")"

# Without firmware: the monitor makes the SETUP_PCI nodes.
make_guest linux "$REPORT" <<<"$PCI"
start_guest linux
wait_guest 120
expect "mode linux: a SETUP_PCI node holds the GPU's ROM" guest_said "^SETUP-PCI $want"
expect "mode linux: the guest ends well" test "$guest_status" = 0

# A damaged variable file is kept aside.
printf 'damaged' | dd of="$WORK/guest.vars" conv=notrunc 2>/dev/null
sum=$(md5sum <"$WORK/guest.vars")
start_guest second "${EFI_OPTIONS[@]}"
wait_guest 120
expect "a damaged variable file: the guest starts without variables" guest_said '^VARIABLE od:'
expect "a damaged variable file is kept" test "$sum" = "$(md5sum <"$WORK/guest.vars.damaged")"
expect "a damaged variable file is spoken of" grep -q 'damaged' "$LOG"
finish
