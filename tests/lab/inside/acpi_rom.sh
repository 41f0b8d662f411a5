#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

export GUEST_INITRD=$LAB_PLAIN_INITRD
before=$(host_state)

# The first GPU has no screen for the guest, which is why ACPI hands out its ROM; the second one is AMD's for it, and is asked for:
# it has no ROM of its own, and gets the first one's, with its ids.
"$GPUVM" rom dump 0000:01:00.0 "$WORK/second.rom"
PCI='[[pci]]
host = "0000:01:00.0"
class = 0x030200
[[pci]]
host = "0000:07:00.0"
port = 1
vendor_id = 0x1002
device_id = 0x67df
sub_vendor_id = 0x1043
sub_device_id = 0x0519
acpi_rom = "on"
rom = "'$WORK'/second.rom"'

REPORT='
sum() { md5sum | cut -d" " -f1; }
rom_bar() { echo 1 >$1/enable; echo 1 >$1/rom; cat $1/rom; echo 0 >$1/rom; }
first=/sys/bus/pci/devices/0000:01:00.0
second=/sys/bus/pci/devices/0000:02:00.0
rom_bar $first >/rom
size=$(stat -c %s /rom)
echo "BAR $size $(sum </rom)"
insmod /acpi_rom.ko && echo "DRIVER-LOADED"
echo "WHOLE $(dd if=/proc/acpi_rom bs=4096 count=$((size / 4096 + 1)) 2>/dev/null | head -c $size | sum)"
echo "ODD $(dd if=/proc/acpi_rom bs=1021 count=$((size / 1021 + 1)) 2>/dev/null | head -c $size | sum)"
echo "END $(dd if=/proc/acpi_rom bs=2048 iflag=skip_bytes skip=$((size - 2048)) count=1 2>/dev/null | sum) $(tail -c 2048 /rom | sum)"
echo "LARGE $(dd if=/proc/acpi_rom bs=8192 count=1 2>/dev/null | wc -c)"
vfct=/sys/firmware/acpi/tables/VFCT
rom_bar $second >/rom2
echo "BAR2 $(stat -c %s /rom2) $(sum </rom2)"
echo "VFCT-ROM $(tail -c +105 $vfct | sum)"
echo "VFCT-HEAD $(head -c 104 $vfct | tail -c 28 | od -An -v -tx1 | tr -d " \n")"
echo "VFCT-OFFSET $(head -c 56 $vfct | tail -c 4 | od -An -v -tx1 | tr -d " \n")"
rmmod acpi_rom && insmod /acpi_rom.ko bus=2
size2=$(stat -c %s /rom2)
echo "WHOLE2 $(dd if=/proc/acpi_rom bs=4096 count=$((size2 / 4096 + 1)) 2>/dev/null | head -c $size2 | sum)"
# The second image is a file of the same length. A call across its end, and one past it.
(tail -c 100 /rom2; head -c 3996 /dev/zero) >/wanted
echo "ACROSS $(dd if=/proc/acpi_rom bs=4096 iflag=skip_bytes skip=$((size2 - 100)) count=1 2>/dev/null | sum) $(sum </wanted)"
echo "PAST $(dd if=/proc/acpi_rom bs=4096 iflag=skip_bytes skip=$((size2 + 4096)) count=1 2>/dev/null | sum) $(head -c 4096 /dev/zero | sum)"
dmesg | grep -E "e820.*NVS|NVS.*mem|reserve.*NVS" | sed "s/^/NVS /"
grep -h -i "NVS" /proc/iomem | sed "s/^/NVS /"
show_dmesg'

said_value() { sed -n "s/^$1 //p" "$CONSOLE" | tr -d '\r' | head -n 1; }
both_equal() { read -r a b < <(said_value "$1"); [[ -n $a && $a == "$b" ]]; }

# 1002:67df, subsystem 1043:0519
IDS=0210df6743101905

# check MODE OPTION…
check() {
  local mode=$1 size sum size2 sum2 length
  shift
  run_guest "$mode" "$@"
  expect "$mode: power off, status 0" test "$guest_status" = 0
  read -r size sum < <(said_value BAR)
  read -r size2 sum2 < <(said_value BAR2)
  expect "$mode: there is a ROM of 32 KiB at least" test "$size" -ge 32768
  expect "$mode: the test driver found _ROM by the GPU's ACPI companion" guest_said '^DRIVER-LOADED'
  expect "$mode: _ROM in 4 KiB steps gives the ROM" test "$(said_value WHOLE)" = "$sum"
  expect "$mode: _ROM in steps of 1021 bytes gives the ROM" test "$(said_value ODD)" = "$sum"
  expect "$mode: its last 2 KiB too" both_equal END
  expect "$mode: zeroes follow in a call across the end" both_equal ACROSS
  expect "$mode: zeroes past the end" both_equal PAST
  expect "$mode: 8 KiB asked for, 4 KiB given" test "$(said_value LARGE)" = 4096
  expect "$mode: the second GPU's _ROM gives its own" test "$(said_value WHOLE2)" = "$sum2"
  expect "$mode: the two ROMs differ" test "$sum" != "$sum2"
  expect "$mode: the VFCT holds the AMD GPU's ROM, byte for byte" test "$(said_value VFCT-ROM)" = "$sum2"
  # Bus 2, device 0, function 0, ids, revision, length.
  length=$(perl -e 'print unpack "H*", pack "V", $ARGV[0]' "$size2")
  expect "$mode: it says whose" guest_said "^VFCT-HEAD 020000000000000000000000${IDS}..000000$length"
  expect "$mode: its first image is at 0x4c" guest_said '^VFCT-OFFSET 4c000000'
  sed -i '/ROM \[mem 0x[0-9a-f]* *-0x[0-9a-f]* pref\]: can.t claim/d' "$CONSOLE"
  check_dmesg
}

for mode in linux efi-handover uefi; do
  mkdir -p "$WORK/initrd-$mode"
  cp "$LAB_ACPI_ROM" "$WORK/initrd-$mode/"
  make_guest "$mode" "$REPORT" <<<"$PCI"
done
check linux
expect "the log says why ACPI hands the first one out" grep -q '0000:01:00.0: ACPI hands out its option ROM of [0-9]* bytes: a GPU without a screen' "$LOG"
expect "and the second one" grep -q '0000:07:00.0: ACPI hands out its option ROM' "$LOG"
check efi-handover --set boot.mode=efi-handover
check uefi --set boot.mode=uefi --set boot.firmware=/usr/share/OVMF/OVMF_CODE_4M.fd --set "boot.vars=$WORK/guest.vars" \
  --set boot.vars_template=/usr/share/OVMF/OVMF_VARS_4M.fd

status=0
"$GPUVM" run -q "$WORK/linux.toml" --set 'pci.0.rom="off"' --set 'pci.0.acpi_rom="on"' 2>"$WORK/refused.log" || status=$?
expect "acpi_rom without a ROM is refused" test "$status" = 78
expect "the reason is clear" grep -q 'pci.0.acpi_rom needs an option ROM' "$WORK/refused.log"
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
