#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/uefi.sh"

REFERENCE=tests/lab/reference/uefi-logo.png
before=$(host_state)
# make_screen NAME BDF
make_screen() {
  GUEST_KERNEL=$LAB_PROBE GUEST_INITRD=$LAB_PLAIN_INITRD make_guest "$1" true <<END_OF_CONFIG
[[pci]]
host = "$2"
device_id = 0x4711
[[pci]]
host = "0000:02:00.0"
END_OF_CONFIG
}

# show NAME GUEST DEVICE OPTION…: a guest until its kernel is entered, which halts it; $LAB_OUT/NAME.ppm is what the DEVICE's
# physical screen shows then, and before.NAME.ppm what it showed before.
show() {
  local name=$1 guest_name=$2 device=$3
  shift 3
  lab-screenshot "before.$name.ppm" "$device"
  start_guest "$guest_name" "${UEFI[@]}" --set "boot.firmware_log=$WORK/$name.firmware.log" "$@"
  wait_console KERNEL-ENTERED 200
  lab-screenshot "$name.ppm" "$device"
  lab-screenshot "$name.png" "$device"
  end_guest
  cp "$WORK/$name.firmware.log" "$LAB_OUT"
}

# At most one pixel in 200 differs from the reference by more than a sixteenth in a colour.
shows_logo() { tests/lab/lib/compare_pictures.sh "$LAB_OUT/$1.ppm" "$REFERENCE" 16 0.005; }
drove() { grep -q 'GOP-FROM-ROM shows' "$WORK/$1.firmware.log"; }

"$GPUVM" rom dump 0000:07:00.0 "$WORK/own.rom"
expect "the GPU has an EFI driver in its ROM" eval '"$GPUVM" rom show "$WORK/own.rom" | grep -q "EFI, 1234:1111"'
make_screen first 0000:01:00.0
make_screen second 0000:07:00.0

# First of all: nothing has lit the screen yet. (A screen of the lab that is reset keeps its last picture.)
show off second gpu2 --set 'pci.0.rom="off"'
expect_not "rom = off: no driver was loaded" grep -q GOP-FROM-ROM "$WORK/off.firmware.log"
expect "rom = off: nobody has lit the GPU's screen when the kernel starts" cmp "$LAB_OUT/before.off.ppm" "$LAB_OUT/off.ppm"
expect_not "rom = off: there is no logo" shows_logo off

show own second gpu2
expect "the firmware ran the driver in the GPU's own ROM" drove own
expect "the logo is on the GPU's screen before the kernel starts" shows_logo own

show file first gpu --set "pci.0.rom=\"$WORK/own.rom\""
expect "rom = PATH: the firmware ran the driver in the file" drove file
expect_not "rom = PATH: there was no logo before" shows_logo before.file
expect "rom = PATH: the logo is on the GPU's screen" shows_logo file
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
