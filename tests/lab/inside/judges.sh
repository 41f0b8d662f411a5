#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
. "$(dirname "$0")/../lib/uefi.sh"

before=$(host_state)
mkfifo "$WORK/said"
servers=()

# start_card NAME OPTION…: a card of a vfio-user server at $WORK/NAME.sock.
start_card() {
  local name=$1
  shift
  "$LAB_FAKE_GPU" --socket "$WORK/$name.sock" "$@" >"$WORK/said" &
  servers+=($!)
  read -r _ <"$WORK/said"
}

# NVIDIA's register 619f04: the VBIOS is in VRAM, which the window at 700000 shows (nouveau, shadowramin.c).
printf '\x09\0\0\0' >"$WORK/in-vram"
start_card bar --card gp107
start_card own --card gp107 --rom "$LAB_OUT/nvidia-4.rom"
start_card prom --card gp107 --contents "0:300000=$LAB_OUT/nvidia-5.rom"
start_card pramin --card gp107 --contents "0:619f04=$WORK/in-vram" --contents "0:700000=$LAB_OUT/nvidia-6.rom"
start_card none --card gp107
start_card polaris --card polaris --rom "$LAB_OUT/amd-2.rom"
start_card baffin --card polaris --id 1002:67ef
start_card twin-1 --card polaris --id 1002:67e3
start_card twin-2 --card polaris --id 1002:67e3

# The chip id of the first two, whose BAR 0 is memory: nothing resets them.
for bdf in 01:00.0 07:00.0; do
  setpci -s "$bdf" COMMAND=2:2
  read -r bar _ <"/sys/bus/pci/devices/0000:$bdf/resource"
  build/lab/tools/busybox devmem "$bar" 32 0x137000a1
done

# Bus N of the guest is behind port N - 1. With rom = "off" only what the card itself has is left.
CARDS='[machine]
on_reboot = "exit"
[[pci]]
host = "0000:01:00.0"
reset = "none"
port = 0
vendor_id = 0x10de
device_id = 0x1c82
class = 0x030000
rom = "'$LAB_OUT'/nvidia-1.rom"
[[pci]]
host = "0000:07:00.0"
reset = "none"
port = 1
vendor_id = 0x10de
device_id = 0x1c82
class = 0x030200
rom = "'$LAB_OUT'/nvidia-2.rom"
[[pci]]
socket = "'$WORK'/bar.sock"
port = 2
rom = "'$LAB_OUT'/nvidia-3.rom"
[[pci]]
socket = "'$WORK'/own.sock"
port = 3
class = 0x030200
[[pci]]
socket = "'$WORK'/prom.sock"
port = 4
rom = "off"
[[pci]]
socket = "'$WORK'/pramin.sock"
port = 5
rom = "off"
[[pci]]
socket = "'$WORK'/none.sock"
port = 6
rom = "off"
[[pci]]
host = "0000:06:00.0"
reset = "none"
port = 7
vendor_id = 0x1002
device_id = 0x67ff
class = 0x038000
rom = "'$LAB_OUT'/amd-1.rom"
[[pci]]
socket = "'$WORK'/polaris.sock"
port = 8
[[pci]]
socket = "'$WORK'/baffin.sock"
port = 9
class = 0x038000
rom = "'$LAB_OUT'/amd-3.rom"
[[pci]]
socket = "'$WORK'/twin-1.sock"
port = 10
class = 0x038000
rom = "'$LAB_OUT'/amd-4.rom"
[[pci]]
socket = "'$WORK'/twin-2.sock"
port = 11
rom = "'$LAB_OUT'/amd-5.rom"'

# The guest gives each card to its driver by itself and prints what that says of the VBIOS. /init must not load the drivers. The guest
# ends without a word to them: of amdgpu 6.1 a power off after a failed probe is an oops.
GUEST='
# judge ROUND DRIVER BUS…
judge() {
  round=$1 driver=$2
  shift 2
  for bus in "$@"; do
    echo "0000:$bus:00.0" >/sys/bus/pci/drivers/$driver/bind
    dmesg -c | sed -n "/using image\|bios: version\|unable to locate\|Fetched VBIOS\|ATOM BIOS/s/^[^]]*\] .*: /$round $bus /p"
  done 2>/dev/null
  echo "JUDGED $round $(cut -d" " -f1 /proc/uptime)"
}
echo 0 >/sys/bus/pci/drivers_autoprobe
mkdir -p /lib/firmware/amdgpu
modprobe nouveau debug=bios=debug
judge FIRST nouveau 01 02 03 04 05 06 07
rmmod nouveau
modprobe nouveau debug=bios=debug config=NvBios=PLATFORM
judge PLATFORM nouveau 01 02 04 07
modprobe amdgpu
judge AMD amdgpu 08 09 0a 0b 0c
echo b >/proc/sysrq-trigger
sleep 60'

# nouveau_says ROUND BUS SOURCE N: the card there has image N, from SOURCE.
nouveau_says() {
  expect "$run: nouveau has image $4 of the card on bus $2 from $3" eval \
    "guest_said '^$1 $2 using image from $3' && guest_said '^$1 $2 version 86.07.00.00.0$4'"
}
nouveau_finds_none() {
  expect "$run: nouveau has none of the card on bus $2 ($1)" guest_said "^$1 $2 unable to locate usable image"
  expect_not "$run: and no version ($1, bus $2)" guest_said "^$1 $2 version"
}
# The part's number, or the build's where the kernel prints that.
amd_version() {
  [[ $kernel == sid ]] && echo "015.050.000.000.00000$1," || echo "113-CARD-$1"
}
amdgpu_says() {
  expect "$run: amdgpu has image $3 of the card on bus $1 from $2" eval \
    "guest_said '^AMD $1 Fetched VBIOS from $2' && guest_said '^AMD $1 $(amd_version "$3")'"
}

printf 'blacklist nouveau\nblacklist amdgpu\n' >"$WORK/modprobe.conf"
while read -r kernel mode GUEST_KERNEL GUEST_INITRD; do
  run=$kernel-$mode
  mkdir -p "$WORK/initrd-$run/etc"
  cp "$WORK/modprobe.conf" "$WORK/initrd-$run/etc/"
  GUEST_CMDLINE='oops=panic' make_guest "$run" "$GUEST" <<<"$CARDS"
  options=(--set "boot.mode=$mode")
  [[ $mode != uefi ]] || options=("${UEFI[@]}" --set "boot.vars=$WORK/vars/$run")
  start_guest "$run" "${options[@]}"
  wait_guest 400 # its kernel unpacks 30 MB of modules without a word
  ((guest_status == 32)) || tail -n 20 "$LOG" "$CONSOLE"
  expect "$run: ends with status 32, by a reset" test "$guest_status" = 32
  expect "$run: after all was said" guest_said '^JUDGED AMD'
  nouveau_says FIRST 01 PCIROM 1
  nouveau_says FIRST 02 ACPI 2
  # OVMF leaves ROM BARs without an address. Linux finds room for that of bus 1, and none in this port's window.
  nouveau_says FIRST 03 "$([[ $mode == uefi ]] && echo PLATFORM || echo PCIROM)" 3
  nouveau_says FIRST 04 ACPI 4
  nouveau_says FIRST 05 PROM 5
  nouveau_says FIRST 06 PRAMIN 6
  nouveau_finds_none FIRST 07
  for n in 1 2 4; do
    nouveau_says PLATFORM "0$n" PLATFORM "$n"
  done
  nouveau_finds_none PLATFORM 07
  # From 6.12 on it takes what the kernel got from the boot before the ROM BAR.
  own=platform
  [[ $kernel != 6.1 ]] || own='ROM BAR'
  amdgpu_says 08 VFCT 1
  amdgpu_says 09 "$own" 2
  amdgpu_says 0a VFCT 3
  amdgpu_says 0b "$own" 4
  amdgpu_says 0c "$own" 5
done <"$LAB_OUT/runs"
expect "the log says that twins are not in the VFCT" \
  logged "twin-1.sock: Its option ROM is not in the ACPI table VFCT: .*twin-2.sock has the same ids and another ROM"
for server in "${servers[@]}"; do
  kill "$server"
done
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
