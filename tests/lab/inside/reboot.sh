#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# What gpuvm holds: open files by kind, and threads.
holdings() {
  find "/proc/$guest/fd" -type l -printf '%l\n' | sed 's/[0-9]\+//g' | sort | uniq -c
  cat "/proc/$guest"/task/*/comm | sort | uniq -c
  find /sys/kernel/debug/kvm -mindepth 1 -maxdepth 1 -type d | wc -l
}

before=$(host_state)
# shellcheck disable=SC2034 # make_guest reads it
GUEST_CMDLINE=guest.end=reboot
make_guest main '
show_drivers
read -r word
[ "$word" = reboot ] || { show_dmesg; poweroff -f; }
' <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END

start_guest main
for round in 0 1 2 3; do
  wait_console '^DRIVERS-END' 300 $((round + 1))
  holdings >"$LAB_OUT/holdings.$round"
  for driver in '1234:1111 bochs-drm' '8086:2668 snd_hda_intel' '1033:0194 xhci_hcd'; do
    expect "after $round reboots: $driver" said_times "^DRIVER $driver" $((round + 1))
  done
  ((round == 3)) || type_line reboot
done
type_line off
wait_guest 180
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the guest started four times" test "$(grep -ac GUEST-INIT-REACHED "$CONSOLE")" = 4
expect "three reboots are counted" grep -q '"reboots": *3' "$WORK/main.inspect.json"
cat "$LAB_OUT/holdings.3"
expect "files, threads and VMs after the third reboot are those after the first" \
  diff "$LAB_OUT/holdings.1" "$LAB_OUT/holdings.3"
check_dmesg
expect "nothing is left" state_is "$before"

# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest exit true <<'END'
[machine]
on_reboot = "exit"
END
run_guest exit
expect 'on_reboot = "exit" gives exit status 32' test "$guest_status" = 32
expect "the guest started once" test "$(grep -ac GUEST-INIT-REACHED "$CONSOLE")" = 1
finish
