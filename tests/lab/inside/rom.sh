#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

before=$(host_state)

# The ROM as the host's kernel reads it, and as gpuvm does.
setpci -s 01:00.0 COMMAND=2:2
echo 1 >/sys/bus/pci/devices/0000:01:00.0/rom
cat /sys/bus/pci/devices/0000:01:00.0/rom >"$WORK/host.rom"
"$GPUVM" rom dump 0000:01:00.0 "$WORK/gpu.rom"
expect "gpuvm rom dump writes what the host's kernel reads" cmp "$WORK/host.rom" "$WORK/gpu.rom"
"$GPUVM" rom show "$WORK/gpu.rom"
expect "its checksum is right" eval '"$GPUVM" rom show "$WORK/gpu.rom" | grep -q "legacy, 1234:1111.*checksum right"'
expect_not "gpuvm rom dump writes over nothing" "$GPUVM" rom dump 0000:01:00.0 "$WORK/gpu.rom"
sum=$(md5sum <"$WORK/gpu.rom" | cut -d' ' -f1)

# The same as another board's: 512 bytes before it, another device id, and a checksum that is right for that.
perl -e '
  local $/; my $rom = <STDIN>;
  my $at = 6 + unpack "x24 v", $rom;
  my $before = unpack "%8C*", substr $rom, $at, 2;
  substr($rom, $at, 2) = pack "v", 0x4711;
  my $change = $before - unpack "%8C*", substr $rom, $at, 2;
  substr($rom, 6, 1) = pack "C", (ord(substr $rom, 6, 1) + $change) & 0xff;
  print "NVGI", "\0" x 508, $rom' <"$WORK/gpu.rom" >"$WORK/other.rom"
expect "the changed ROM has a right checksum too" \
  eval '"$GPUVM" rom show "$WORK/other.rom" | grep -q "0x000200  legacy, 1234:4711.*checksum right"'

make_guest main '
show_drivers
show_rom() {
  [ -e "$1/rom" ] || { echo "ROM $2 none"; return; }
  echo 1 >"$1/rom"
  echo "ROM $2 $(md5sum <"$1/rom" | cut -d" " -f1)"
}
show_rom /sys/bus/pci/devices/0000:01:00.0 own
show_rom /sys/bus/pci/devices/0000:02:00.0 file
show_rom /sys/bus/pci/devices/0000:01:00.1 audio
lspci -nn -v -s 01:00.1 | sed "s/^/LSPCI /"
show_dmesg
' <<END
[[pci]]
host = "0000:01:00.0"
functions = [0]
[[pci]]
host = "0000:01:00.1"
functions = [1]
sub_vendor_id = 0x1043
sub_device_id = 0x85e7
[[pci]]
host = "0000:07:00.0"
port = 1
rom = "$WORK/other.rom"
END
run_guest main
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the guest reads the GPU's own ROM from its ROM BAR" guest_said "^ROM own $sum"
expect "the second GPU's ROM is the file, corrected" guest_said "^ROM file $sum"
expect "gpuvm says what it corrected" grep -q 'image at 0x200: 1234:4711 became 1234:1111' "$LOG"
expect "the audio function has none" guest_said '^ROM audio none'
expect "the guest's lspci shows the subsystem ids of the configuration" guest_said '^LSPCI.*Subsystem.*\[1043:85e7\]'
expect "both GPUs have their driver" test "$(grep -ac '^DRIVER 1234:1111 bochs-drm' "$CONSOLE")" = 2
check_dmesg

status=0
"$GPUVM" run -q "$WORK/main.toml" --set 'pci.2.rom_check="strict"' 2>"$WORK/strict.log" || status=$?
expect "a ROM with bytes before it is refused when the check is strict" test "$status" = 78
expect "the reason is clear" grep -q '^gpuvm: error: .*other.rom: .*gpuvm rom trim' "$WORK/strict.log"

GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest hidden '
echo "FLAG $(grep -c -w hypervisor /proc/cpuinfo)"
dmesg | grep -i "hypervisor detected" || echo NO-HYPERVISOR
' </dev/null
run_guest hidden
expect "a guest sees KVM" guest_said 'Hypervisor detected: KVM'
expect "the processor's hypervisor flag is set" guest_said '^FLAG 1'
run_guest hidden --set cpu.hide_hypervisor=true
expect "with cpu.hide_hypervisor the guest ends well too" test "$guest_status" = 0
expect "the guest detects no hypervisor" guest_said '^NO-HYPERVISOR'
expect "the processor's hypervisor flag is not set" guest_said '^FLAG 0'
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
