#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# The guest: GPU and audio behind 00:01.0, USB behind 00:02.0, NVMe behind 00:03.0.
make_guest reset '
pci=/sys/bus/pci/devices drivers=/sys/bus/pci/drivers gpu=0000:01:00.0 audio=0000:01:00.1 usb=0000:02:00.0 nvme=0000:03:00.0
wait_for() { i=0; until eval "$1"; do i=$((i + 1)); [ $i -lt 150 ] || return 1; sleep 0.1; done; }
has_keyboard="grep -q Keyboard /proc/bus/input/devices"
driver() { basename "$(readlink $pci/$1/driver)"; }
disk() { dd if=/dev/nvme0n1 bs=64k count=16 2>/dev/null | md5sum | cut -d" " -f1; }
fill() { dd if=/dev/urandom of=/tmp/frame bs=64k count=16 2>/dev/null; dd if=/tmp/frame of=/dev/fb0 bs=64k 2>/dev/null; }
shown() { dd if=/dev/fb0 bs=64k count=16 2>/dev/null | cmp - /tmp/frame; }

# 1. The kernel resets the bus of a function that has no reset of its own.
wait_for "$has_keyboard" && echo USB-WORKS-BEFORE
echo "USB-METHOD $(cat $pci/$usb/reset_method)"
echo $usb >$drivers/xhci_hcd/unbind
eval "$has_keyboard" || echo USB-UNBOUND
echo 1 >$pci/$usb/reset && echo USB-RESET
echo $usb >$drivers/xhci_hcd/bind
wait_for "$has_keyboard" && echo USB-WORKS-AFTER

# 2. Function level reset.
wait_for "[ -b /dev/nvme0n1 ]"
before=$(disk)
echo flr >$pci/$nvme/reset_method
echo $nvme >$drivers/nvme/unbind
[ -b /dev/nvme0n1 ] || echo NVME-UNBOUND
echo 1 >$pci/$nvme/reset && echo NVME-RESET
echo $nvme >$drivers/nvme/bind
wait_for "[ -b /dev/nvme0n1 ]"
[ -n "$before" ] && [ "$before" = "$(disk)" ] && echo NVME-WORKS-AFTER

# 3. By hand, with two functions behind the port; what the kernel knew of them is void, so it looks again.
echo 0 >/sys/class/vtconsole/vtcon1/bind 2>/dev/null
fill; shown && echo GPU-WORKS-BEFORE
gpu_driver=$(driver $gpu)
echo $gpu >$drivers/$gpu_driver/unbind
echo $audio >$drivers/snd_hda_intel/unbind
[ -e /dev/fb0 ] || echo GPU-UNBOUND
setpci -s 00:01.0 BRIDGE_CONTROL=40:40
echo "GPU-IN-RESET $(setpci -s 01:00.0 VENDOR_ID) $(setpci -s 01:00.1 VENDOR_ID)"
echo "USB-MEANWHILE $(setpci -s 02:00.0 VENDOR_ID)"
setpci -s 00:01.0 BRIDGE_CONTROL=0:40
sleep 0.2
echo "GPU-IDS $(setpci -s 01:00.0 VENDOR_ID) $(setpci -s 01:00.1 VENDOR_ID)"
echo "GPU-BARS $(setpci -s 01:00.0 BASE_ADDRESS_0) $(setpci -s 01:00.0 BASE_ADDRESS_2) $(setpci -s 01:00.0 COMMAND)"
echo 1 >$pci/$gpu/remove
echo 1 >$pci/$audio/remove
echo 1 >/sys/bus/pci/rescan
wait_for "[ -e /dev/fb0 ]" && echo GPU-FB0-BACK
echo 0 >/sys/class/vtconsole/vtcon1/bind 2>/dev/null
fill; shown && echo GPU-WORKS-AFTER
wait_for "[ -e $pci/$audio/driver ]" && echo "AUDIO-DRIVER $(driver $audio)"
echo DMESG-BEGIN; dmesg | tail -n 150; echo DMESG-END
' <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
port = 1
[[pci]]
host = "0000:04:00.0"
port = 2
END

start_guest reset --events "$WORK/reset.events"
wait_guest 200  # three resets, each followed by a driver that starts anew
logged() { grep -q -- "$1" "$LOG"; }

expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the USB controller works before" guest_said '^USB-WORKS-BEFORE'
expect "the guest's kernel offers a bus reset for it" guest_said '^USB-METHOD bus'
expect "its keyboard is gone without the driver" guest_said '^USB-UNBOUND'
expect "the guest resets the bus" guest_said '^USB-RESET'
expect "gpuvm says so" logged 'port-1: The guest reset the bus: hot reset of 0000:02:00.0 .*verified'
expect "the USB keyboard enumerates again" guest_said '^USB-WORKS-AFTER'
expect "the NVMe disk is gone without its driver" guest_said '^NVME-UNBOUND'
expect "the guest resets the NVMe controller" guest_said '^NVME-RESET'
expect "gpuvm says so, and has checked it" logged '0000:04:00.0: The guest reset the function: function reset of 0000:04:00.0 .*verified'
expect "an event: with method, verdict and duration" grep -q \
  '"reason":"guest function reset","functions":"0000:04:00.0","method":"function reset","verdict":"verified","duration_ms":[0-9]' \
  "$WORK/reset.events"
expect "one for each reset of a bus, too" test "$(grep -c '"reason":"guest bus reset".*"verdict":"verified"' "$WORK/reset.events")" = 2
expect "the disk reads the same again" guest_said '^NVME-WORKS-AFTER'
expect "the GPU works before" guest_said '^GPU-WORKS-BEFORE'
expect "no framebuffer without its driver" guest_said '^GPU-UNBOUND'
expect "both functions are away during the reset" guest_said '^GPU-IN-RESET ffff ffff'
expect "a function behind another port answers meanwhile" guest_said '^USB-MEANWHILE 1033'
expect "gpuvm says so" logged 'port-0: The guest reset the bus: hot reset of 0000:01:00.0, 0000:01:00.1 .*verified'
expect "both are back after it" guest_said '^GPU-IDS 1234 8086'
# Of the command register SERR# and parity errors are as the host's firmware wants them.
expect "their registers are those after a reset" guest_said '^GPU-BARS 00000008 00000000 0[01][04]0'
expect "the framebuffer is back" guest_said '^GPU-FB0-BACK'
expect "it holds what is written to it" guest_said '^GPU-WORKS-AFTER'
expect "the audio function has its driver again" guest_said '^AUDIO-DRIVER snd_hda_intel'
expect_not "no reset failed" logged 'gone until the next reset'
check_dmesg  # of its end, which the resets are in
finish
