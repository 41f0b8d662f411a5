#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_ATOMICS, a library for LD_PRELOAD.
. "$(dirname "$0")/../lib/inside.sh"

# Lines of the guest: "PAT …" of its kernel log; "ATOMICS PORT …" for each root port, as lspci decodes it; "ALARM BEFORE AFTER", the
# clock's interrupts around an alarm 3 s ahead.
REPORT='
dmesg | grep "x86/PAT" | sed "s/^.*x86.PAT/PAT/"
for port in $(lspci -d ::0604 | cut -d" " -f1); do
  echo "ATOMICS $port $(lspci -vv -s "$port" | grep -o "AtomicOpsCap:.*32bit.*")"
done
clock_interrupts() { awk "\$1 == \"8:\" { for (i = 2; \$i ~ /^[0-9]+\$/; i++) sum += \$i; print sum + 0 }" /proc/interrupts; }
before=$(clock_interrupts)
rang() { [ "$(clock_interrupts)" -gt "$before" ]; }
echo +3 >/sys/class/rtc/rtc0/wakealarm
until_true 60 rang
echo "ALARM $before $(clock_interrupts)"
'

# The stick is read while the second GPU, alone behind its port, is reset by its bus.
before=$(host_state)
make_tile main
make_guest main "$REPORT"'
pci=/sys/bus/pci/devices
until_true 30 test -e /sys/class/graphics/fb3
show_drivers
for device in $pci/*; do
  case $(cat $device/class) in
    0x03*) echo "GPU ${device##*/} $(basename "$(dirname "$(readlink -f $device)")") $(basename "$(readlink $device/driver)")" ;;
  esac
done
lspci -t | sed "s/^/TREE /"
until_true 60 dd if=/dev/sda of=/dev/null bs=512 count=1
second=0000:02:00.0
echo "RESET-METHOD $(cat $pci/$second/reset_method)"
echo $second >$pci/$second/driver/unbind
[ -e $pci/$second/drm ] || echo RESET-UNBOUND
dd if=/dev/sda bs=64k count=64 iflag=direct 2>/dev/null | md5sum | cut -d" " -f1 >/tmp/during &
echo bus >$pci/$second/reset_method
echo 1 >$pci/$second/reset && echo RESET-DONE
wait
echo "DURING-MD5 $(cat /tmp/during)"
echo $second >/sys/bus/pci/drivers/bochs-drm/bind
until_true 20 test -n "$(fb_of $second)"
for device in 0000:02:00.0 0000:03:00.0 0000:04:00.0 0000:01:00.0; do
  show_pattern "$(fb_of $device)"
done
until_true 20 grep -q Keyboard /proc/bus/input/devices && echo KEYBOARD
show_stick
echo PICTURES
read -r go
show_dmesg
' <<'END_OF_CONFIG'
[[pci]]
host = "0000:02:00.0"
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:07:00.0"
[[pci]]
host = "0000:03:00.0"
[[pci]]
host = "0000:08:00.0"
END_OF_CONFIG

# check_report WIDTHS: the lines of REPORT; WIDTHS is what lspci says of each root port.
check_report() {
  expect "$guest_name: write combining is there" guest_said '^PAT: Configuration \[0-7\]: WB  WC '
  expect_not "$guest_name: PAT is not switched off" guest_said '^PAT: .*MTRRs disabled'
  grep -a '^ATOMICS' "$CONSOLE" | tr -d '\r' >"$WORK/atomics"
  expect "$guest_name: lspci decodes what each root port completes" grep -q AtomicOpsCap "$WORK/atomics"
  expect_not "$guest_name: each root port completes $1" grep -v "AtomicOpsCap:.* $1$" "$WORK/atomics"
  expect "$guest_name: the clock's alarm rings" guest_said '^ALARM 0 [1-9]'
}

guest_name='6.1, mode linux'
start_guest main
wait_console '^PICTURES' 300
check_report '32bit- 64bit- 128bitCAS-'
check_pattern main
for device in gpu2 vgpu gpu3; do
  expect "the screen of $device shows the same" shows_the_same "$device"
done
type_line go
wait_guest 180
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
grep -a '^GPU ' "$CONSOLE" | tr -d '\r' | tee "$WORK/gpus"
grep -a '^TREE ' "$CONSOLE"
expect "there are four GPUs" test "$(wc -l <"$WORK/gpus")" = 4
expect "each is device 0, function 0 of a bus of its own" test "$(grep -c '^GPU 0000:[0-9a-f]*:00\.0 ' "$WORK/gpus")" = 4
expect "each has its own root port" test "$(cut -d' ' -f3 "$WORK/gpus" | sort -u | wc -l)" = 4
expect "the guest's kernel can reset the second one's bus" guest_said '^RESET-METHOD bus'
expect "its driver has left" guest_said '^RESET-UNBOUND'
expect "the guest resets that bus" guest_said '^RESET-DONE'
expect "gpuvm resets that GPU, and no other function" logged 'port-1: The guest reset the bus: hot reset of 0000:07:00.0 .*verified'
expect "the stick was read meanwhile" \
  guest_said "^DURING-MD5 $(head -c $((4 << 20)) "$LAB_OUT/usb.img" | md5sum | cut -d' ' -f1)"
expect "the USB controller goes on: its stick" guest_said "^STICK-MD5 $(head -c 1048576 "$LAB_OUT/usb.img" | md5sum | cut -d' ' -f1)"
expect "and its keyboard" guest_said '^KEYBOARD'
check_dmesg

# An EFI stub sets PAT up by itself; the library makes VFIO say that AtomicOps are completed.
guest_name='6.1, mode efi-handover'
GUEST_INITRD=$LAB_PLAIN_INITRD make_guest efi "$REPORT" <<'END_OF_CONFIG'
[[pci]]
host = "0000:07:00.0"
END_OF_CONFIG
LD_PRELOAD=$LAB_ATOMICS start_guest efi --set boot.mode=efi-handover
wait_guest 180
expect "$guest_name: power off ends gpuvm with status 0" test "$guest_status" = 0
check_report '32bit+ 64bit+ 128bitCAS-'
expect "nothing is left" state_is "$before"
finish
