#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# Linux lets everybody write variables of this vendor (LINUX_EFI_CRASH_GUID); files of vendors that it does not know are
# immutable when they are there at the mount.
VARIABLE=GpuvmTest-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0

PCI='[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"'

# What the guest says of itself. struct setup_data's contents start with the 48 bytes of struct pci_setup_rom before the image.
# The serial console is slow, one VM exit for each byte: of the kernel's log only the length and the lines that should not be there.
REPORT='
for f in /sys/kernel/boot_params/setup_data/*/type; do
  [ "$(cat $f)" = 0x3 ] || continue
  data=${f%type}data
  echo "SETUP-PCI $(dd if=$data bs=48 count=1 2>/dev/null | od -An -v -tx1 | tr -d " \n") $(dd if=$data bs=48 skip=1 2>/dev/null | md5sum | cut -d" " -f1)"
done
echo "BASE $(grep "Kernel code" /proc/iomem) $(grep -m1 " _text$" /proc/kallsyms)"
echo "LOG $(dmesg | wc -l) lines"
dmesg | grep -E "'$DMESG_BAD'" | sed "s/^/LOG-BAD /"
'
EFI_REPORT=$REPORT'
echo "EFI $(cat /sys/firmware/efi/fw_platform_size)"
modprobe efivarfs
echo "TABLES $(dmesg | grep -m1 "efi: .*ACPI 2.0=")"
mount -t efivarfs none /sys/firmware/efi/efivars
V=/sys/firmware/efi/efivars/'$VARIABLE'
echo "VARIABLE $(od -An -v -tx1 $V 2>&1 | tr -d " \n")"
'
# Attributes non-volatile, boot and runtime access; then the value.
write_variable() { printf 'printf "\\007\\000\\000\\000%s" >$V && echo "WRITTEN $(od -An -v -tx1 $V | tr -d " \\n")"\n' "$1"; }
hex() { printf '07000000%s' "$(printf '%s' "$1" | od -An -v -tx1 | tr -d ' \n')"; }

# The ROM as the host's kernel reads it.
read_rom() {
  local rom=/sys/bus/pci/devices/0000:01:00.0/rom
  setpci -s 01:00.0 COMMAND=2:2
  echo 1 >$rom
  cat $rom >"$WORK/gpu.rom"
  echo "the GPU's ROM: $(stat -c %s "$WORK/gpu.rom") bytes"
}

# Vendor and device; padding; size; segment 0, bus 1, device 0, function 0: where the guest sees the GPU; the image.
expected_node() {
  printf 'SETUP-PCI 3412111100000000%s%s %s' \
    "$(perl -e 'print unpack "H*", pack "Q<", $ARGV[0]' "$(stat -c %s "$WORK/gpu.rom")")" \
    "$(perl -e 'print unpack "H*", pack "Q<4", 0, 1, 0, 0')" "$(md5sum <"$WORK/gpu.rom" | cut -d' ' -f1)"
}

# early_dsdt CONSOLE FILE: an archive by which the kernel takes the DSDT that the guest printed, newer and without \_S5: then
# ACPI cannot power off, and Linux asks EFI to (arch/x86/platform/efi/quirks.c, efi_poweroff_required).
early_dsdt() {
  local root=$WORK/early
  mkdir -p "$root/kernel/firmware/acpi"
  sed -n '/^DSDT-BEGIN/,/^DSDT-END/{//!p}' "$1" | tr -d '\r' | base64 -d | perl -e '
    local $/; my $table = <STDIN>;
    length $table == unpack "x4 V", $table or die "the guest printed no whole table\n";
    $table =~ s/_S5_/_T5_/ == 1 or die "there is no \\_S5 in the DSDT\n";
    substr($table, 24, 4) = pack "V", 1 + unpack "x24 V", $table;
    substr($table, 9, 1) = "\0";
    substr($table, 9, 1) = pack "C", -unpack("%8C*", $table) & 0xff;
    print $table' >"$root/kernel/firmware/acpi/dsdt.aml"
  (cd "$root" && find kernel | cpio -o -H newc --quiet) >"$2"
}

common_checks() {
  expect "$1: the kernel has a SETUP_PCI node with the GPU's ROM, byte for byte" guest_said "^$(expected_node)"
  expect "$1: the guest says where its kernel is" guest_said '^BASE .*Kernel code ffffffff'
  expect "$1: the guest has a kernel log" guest_said '^LOG [0-9]\{3,\} lines'
  expect_not "$1: no line in its kernel log that should not be there" guest_said '^LOG-BAD'
}

efi_checks() {
  expect "$1: the log says how the kernel was entered" grep -q "starts by $2" "$LOG"
  expect "$1: there is /sys/firmware/efi, 64 bits" guest_said '^EFI 64'
  expect "$1: the kernel found ACPI, SMBIOS 3 and random bytes" guest_said '^TABLES .*ACPI 2.0=.*SMBIOS 3.0=.*RNG='
}

# without_handover KERNEL FILE: a copy that offers only its PE entry (xloadflags without its bits 2 and 3).
without_handover() {
  cp "$1" "$2"
  perl -e 'print pack "v", unpack("v", join "", <STDIN>) & ~0xc' < <(tail -c +567 "$1" | head -c 2) \
    | dd of="$2" bs=1 seek=566 conv=notrunc status=none
}

# The guest's BARs are where gpuvm dump fdt says; a ROM's are none of the tree's.
dump_checks() {
  local addresses start starts
  "$GPUVM" dump fdt "$WORK/$1.toml" --set boot.mode=efi-handover >"$WORK/$1.dts"
  expect "$1: dtc takes what gpuvm dump fdt prints" dtc -I dts -O dtb -o /dev/null "$WORK/$1.dts"
  addresses=$(grep assigned-addresses "$WORK/$1.dts")
  starts=$(sed -n 's/^RESOURCE 0x0*\([1-9a-f][0-9a-f]*\) .*/0x\1/p' "$CONSOLE")
  expect "$1: the guest has four BARs" test "$(wc -w <<<"$starts")" = 4
  for start in $starts; do
    expect "$1: gpuvm dump fdt knows the BAR at $start" grep -q " $start " <<<"$addresses"
  done
}

# The first run: writes the variable, and reboots through EFI.
test_first() {
  local name=$1-first
  GUEST_INITRD=$2 GUEST_CMDLINE="reboot=efi guest.end=reboot" make_guest "$name" "$EFI_REPORT
$(write_variable first)
show_drivers
for f in /sys/bus/pci/devices/0000:01:00.?/resource; do head -n 6 \$f | sed 's/^/RESOURCE /'; done
echo DSDT-BEGIN; base64 /sys/firmware/acpi/tables/DSDT; echo DSDT-END" <<<"$PCI"
  start_guest "$name" "${EFI_OPTIONS[@]}" --set machine.on_reboot=exit
  wait_guest 300
  expect "$name: a reboot through EFI ends gpuvm with status 32 (on_reboot = exit)" test "$guest_status" = 32
  efi_checks "$name" 'the EFI handover protocol'
  expect "$name: there was no variable" guest_said '^VARIABLE od:'
  expect "$name: a variable was written" guest_said "^WRITTEN $(hex first)"
  common_checks "$name"
  dump_checks "$name"
  case $1 in
    *-cloud) ;; # has no drivers for them
    *) expect "$name: GPU and USB controller have their drivers" test \
      "$(grep -acE '^DRIVER (1234:1111 bochs-drm|1033:0194 xhci_hcd)' "$CONSOLE")" = 2 ;;
  esac
  FIRST=$CONSOLE
}

# base 1|2 CONSOLE: where the kernel's code is in memory, and at which virtual address.
base() { sed -n "s/^BASE *0*\([0-9a-f]*\)-.*: Kernel code \([0-9a-f]*\) .*/\\$1/p" "$2"; }

# KASLR moves the kernel at each boot. Two boots are at the same place once in some hundred times: what must differ is one
# of two from where the kernel was linked, and the boots of one kernel at least (at the end).
declare -i kernels=0 same_physical=0 same_virtual=0
kaslr_checks() {
  kernels+=1
  [[ $2 != "$3" ]] || same_physical+=1
  [[ $4 != "$5" ]] || same_virtual+=1
  expect "$1: the kernel was moved in memory, to $2 and $3" test "$2 $3" != "1000000 1000000"
  expect "$1: the kernel was moved in its address space, to $4 and $5" test "$4 $5" != "ffffffff81000000 ffffffff81000000"
}

# The second run: reads and changes it, with the usual tools too, and powers off through EFI. ENTRY: handover or pe.
test_second() {
  local name=$1-second GUEST_KERNEL=$GUEST_KERNEL how='the EFI handover protocol'
  if [[ $3 == pe ]]; then
    without_handover "$GUEST_KERNEL" "$WORK/$name.kernel"
    GUEST_KERNEL=$WORK/$name.kernel how='its PE entry'
  fi
  early_dsdt "$FIRST" "$WORK/$name.base"
  cat "$2" >>"$WORK/$name.base"
  add_program "$name" efibootmgr efivar
  GUEST_INITRD=$WORK/$name.base make_guest "$name" "$EFI_REPORT
$(write_variable second)
efivar -p -n ${VARIABLE#*-}-${VARIABLE%%-*} | sed 's/^/EFIVAR /'
efibootmgr -t 7 | sed 's/^/EFIBOOTMGR /'
dmesg | grep -E 'ACPI: PM: .supports' | sed 's/^/SLEEP /'" <<<"$PCI"
  start_guest "$name" "${EFI_OPTIONS[@]}"
  wait_guest 300
  efi_checks "$name" "$how"
  expect "$name: the kernel cannot power off through ACPI" guest_said '^SLEEP .*(supports S0)'
  expect "$name: power off through EFI ends gpuvm with status 0" test "$guest_status" = 0
  expect "$name: the variable of the first run is there" guest_said "^VARIABLE $(hex first)"
  expect "$name: the variable was changed" guest_said "^WRITTEN $(hex second)"
  expect "$name: efivar reads it" guest_said '^EFIVAR .*|second'
  expect "$name: efibootmgr sets and reads the time-out" guest_said '^EFIBOOTMGR Timeout: 7 seconds'
  common_checks "$name"
  kaslr_checks "$name" "$(base 1 "$FIRST")" "$(base 1 "$CONSOLE")" "$(base 2 "$FIRST")" "$(base 2 "$CONSOLE")"
}

# Without firmware the monitor makes the SETUP_PCI nodes.
test_linux() {
  local name=$1-linux
  GUEST_INITRD=$2 make_guest "$name" "$REPORT" <<<"$PCI"
  run_guest "$name"
  common_checks "$name"
  expect "$name: power off ends gpuvm with status 0" test "$guest_status" = 0
}

# A damaged variable file is kept aside; test_first shows that the guest starts without variables.
damage_variables() {
  printf 'this is no variable store' >"$WORK/guest.vars"
  test_first "$@"
  expect "a damaged variable file is kept" grep -q '^this is no variable store$' "$WORK/guest.vars.damaged"
  expect "a damaged variable file is spoken of" grep -q 'guest.vars are damaged.*guest.vars.damaged' "$LOG"
}

read_rom
EFI_OPTIONS=(--set boot.mode=efi-handover --set "boot.vars=$WORK/guest.vars")
first=damage_variables entry=handover
while read -r name GUEST_KERNEL full small; do
  $first "$name" "$full"
  test_second "$name" "$small" "$entry"
  entry=pe
  test_linux "$name" "$small"
  first=test_first
  rm "$WORK/guest.vars"
done <"$LAB_OUT/kernels"
expect "KASLR chooses another place in memory at each boot" test $same_physical -lt $kernels
expect "KASLR chooses another virtual address at each boot" test $same_virtual -lt $kernels
finish
