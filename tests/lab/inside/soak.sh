#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_SOAK_SET, LAB_SOAK_REBOOTS, LAB_SOAK_RUNS, LAB_SOAK_KILLS, LAB_SOAK_SEED.
. "$(dirname "$0")/../lib/inside.sh"

case $LAB_SOAK_SET in
  gpu,usb)
    functions=(0000:01:00.0 0000:02:00.0)
    drivers=('1234:1111 bochs-drm' '8086:2668 snd_hda_intel' '1033:0194 xhci_hcd')
    ;;
  vgpu,nvme)
    functions=(0000:03:00.0 0000:04:00.0)
    drivers=('1af4:1050 virtio-pci' '1b36:0010 nvme')
    ;;
esac
# What a crash may find gpuvm at: the disk's DMA goes on until the end.
guest_script='
show_drivers
if [ -e /sys/class/graphics/fb0 ] && [ -e /tile ]; then show_pattern; fi
if until_true 5 test -b /dev/nvme0n1; then
  echo "DISK $(dd if=/dev/nvme0n1 bs=1M count=16 iflag=direct 2>/dev/null | md5sum | cut -d" " -f1)"
  while :; do dd if=/dev/nvme0n1 of=/dev/null bs=1M count=64 iflag=direct 2>/dev/null; done &
fi
echo READY
read -r word
[ "$word" = reboot ] || poweroff -f
'

# What gpuvm holds: open files by kind, threads, mappings, VMs, locked and private memory. The heap may move by some pages.
holdings() {
  find "/proc/$guest/fd" -type l -printf '%l\n' | sed 's/[0-9]\+//g' | sort | uniq -c
  cat "/proc/$guest"/task/*/comm | sort | uniq -c
  sed -n 's/^[^ ]* [^ ]* [^ ]* [^ ]* [^ ]* *//p' "/proc/$guest/maps" | grep -v '^$' | sort | uniq -c
  printf '%s VMs\n' "$(find /sys/kernel/debug/kvm -mindepth 1 -maxdepth 1 -type d | wc -l)"
  grep -E '^Vm(Lck|Pin)' "/proc/$guest/status"
}
private_kib() {
  awk '/^[0-9a-f]+-/ { guest = /\(deleted\)|memfd|vfio/ } /^Private_/ && !guest { sum += $2 } END { print sum }' "/proc/$guest/smaps"
}

# check_boot TIMES: the guest has come up for the TIMESth time, with all drivers, and its devices work.
check_boot() {
  local driver
  wait_console '^READY' 300 "$1" || return 1
  for driver in "${drivers[@]}"; do
    said_times "^DRIVER $driver" "$1" || { echo "no driver: $driver"; return 1; }
  done
  if [[ $LAB_SOAK_SET == gpu,usb ]]; then
    pattern_shows
  else
    said_times "^DISK $disk_md5" "$1"
  fi
}

# The physical screen shows the guest's pattern, byte for byte.
pattern_shows() {
  local end=$((SECONDS + 30))
  until lab-screenshot pattern.ppm gpu && tests/lab/lib/check_screen.sh "$LAB_OUT/pattern.ppm" "$WORK/pattern.xrgb"; do
    ((SECONDS < end)) || return 1
  done
}

power_off() {
  type_line off
  wait_guest 120
  expect "$1: power off gives status 0" test "$guest_status" = 0
}

RANDOM=$LAB_SOAK_SEED
echo "set $LAB_SOAK_SET, seed $LAB_SOAK_SEED: $LAB_SOAK_REBOOTS reboots, $LAB_SOAK_RUNS runs, $LAB_SOAK_KILLS kills"
if [[ $LAB_SOAK_SET == gpu,usb ]]; then
  load_host_drivers
else
  disk_md5=$(head -c $((16 << 20)) "$LAB_OUT/nvme.img" | md5sum | cut -d' ' -f1)
fi
before=$(host_state)
make_tile main
perl -e 'local $/; my $tile = <STDIN>; print substr($tile x 100, 0, 1280 * 800 * 4)' <"$WORK/initrd-main/tile" >"$WORK/pattern.xrgb"
# shellcheck disable=SC2034 # make_guest reads it
GUEST_CMDLINE=guest.end=reboot
printf '[[pci]]\nhost = "%s"\n' "${functions[@]}" | make_guest main "$guest_script"

# Reboots in one run. What gpuvm holds after the last is what it held after the second.
start_guest main
expect "start" check_boot 1
for ((reboot = 1; reboot <= LAB_SOAK_REBOOTS; reboot++)); do
  type_line reboot
  expect "reboot $reboot" check_boot $((reboot + 1))
  if ((reboot == 2)); then
    holdings >"$LAB_OUT/holdings.second"
    private_second=$(private_kib)
  fi
done
holdings >"$LAB_OUT/holdings.last"
private_last=$(private_kib)
power_off "reboots"
expect "$LAB_SOAK_REBOOTS reboots are counted" grep -q "\"reboots\": *${LAB_SOAK_REBOOTS}[,}]" "$WORK/main.inspect.json"
cat "$LAB_OUT/holdings.last"
expect "files, threads, mappings, VMs and locked memory are those after the second reboot" \
  diff "$LAB_OUT/holdings.second" "$LAB_OUT/holdings.last"
echo "private memory: $private_second KiB after the second reboot, $private_last KiB after the last"
expect "private memory grew by less than 256 KiB" test "$private_last" -lt $((private_second + 256))
expect "nothing is left" state_is "$before"

# Whole runs.
for ((run = 1; run <= LAB_SOAK_RUNS; run++)); do
  start_guest main
  expect "run $run" check_boot 1
  power_off "run $run"
done
expect "nothing is left" state_is "$before"

# Killed at a random moment up to 2 s after the guest is up, or on the way there; then a clean start.
boot_ms=6000
for ((round = 1; round <= LAB_SOAK_KILLS; round++)); do
  moment=$((RANDOM % (boot_ms + 2000)))
  start_guest main
  sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
  kill -9 "$guest" || true
  wait_guest 10
  expect "round $round: killed after $moment ms" test "$guest_status" = 137
  start_guest main
  begin=${EPOCHREALTIME/./}
  expect "round $round: the next start" check_boot 1
  boot_ms=$(((${EPOCHREALTIME/./} - begin) / 1000))
  power_off "round $round"
done
expect "nothing is left" state_is "$before"

if [[ $LAB_SOAK_SET == gpu,usb ]]; then
  # shellcheck disable=SC2034 # make_guest reads it
  GUEST_INITRD=$LAB_PLAIN_INITRD
  make_guest exit true <<'END'
[machine]
on_reboot = "exit"
END
  run_guest exit
  expect 'on_reboot = "exit" gives exit status 32' test "$guest_status" = 32
  expect "the guest started once" test "$(grep -ac GUEST-INIT-REACHED "$CONSOLE")" = 1
fi
finish
