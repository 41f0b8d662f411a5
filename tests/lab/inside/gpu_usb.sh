#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

load_host_drivers
before=$(host_state)

make_tile main
make_guest main '
show_drivers
ls /dev/dri/card0 /dev/fb0
show_stick
until_true 20 grep -q Keyboard /proc/bus/input/devices
grep Keyboard /proc/bus/input/devices
show_pattern
read -r go
end=$(($(cut -d. -f1 /proc/uptime) + 10)); n=0
echo FB-LOOP-BEGIN
while [ $(cut -d. -f1 /proc/uptime) -lt $end ]; do dd if=/tmp/frame of=/dev/fb0 bs=64k count=16 2>/dev/null; n=$((n+1)); done
echo "FB-LOOP-END $n"
read -r go
show_dmesg
' <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END

start_guest main
wait_console GUEST-MODULES-LOADED 300
check_pattern main
type_line go
wait_console FB-LOOP-BEGIN 300
mmio_before=$(</sys/kernel/debug/kvm/mmio_exits)
wait_console FB-LOOP-END 300
mmio_after=$(</sys/kernel/debug/kvm/mmio_exits)
echo "MMIO exits during 10 s of framebuffer writes: $((mmio_after - mmio_before)), to any address"
type_line go
wait_guest 180

expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the GPU has its driver" guest_driver 1234:1111 bochs-drm
expect "the audio function has its driver" guest_driver 8086:2668 snd_hda_intel
expect "the USB controller has its driver" guest_driver 1033:0194 xhci_hcd
expect "there is /dev/dri/card0" guest_said '^/dev/dri/card0'
expect "the USB keyboard is there" guest_said 'Keyboard'
expect "the USB stick's bytes are right" guest_said "^STICK-MD5 $(head -c 1048576 "$LAB_OUT/usb.img" | md5sum | cut -d' ' -f1)"
expect "MMIO exits are counted" test "$mmio_before" -gt 0
expect "framebuffer writes cause no MMIO exit to a mapped BAR" test $((mmio_after - mmio_before)) -le 20
check_dmesg
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
