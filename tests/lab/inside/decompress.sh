#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# Where the kernel's code is in memory and at which virtual address; whether the kernel knows that it was moved, which it says when
# it panics only, so from what depends on that: the start of the direct mapping.
REPORT='
echo "BASE $(grep "Kernel code" /proc/iomem) $(grep -m1 " _text$" /proc/kallsyms)"
dmesg | grep -E "'$DMESG_BAD'" | sed "s/^/LOG-BAD /"
echo READY
read -r word
[ "$word" = reboot ] || poweroff -f
'
# bases 1|2 CONSOLE: a line for each boot.
bases() { sed -n "s/^BASE *0*\([0-9a-f]*\)-.*: Kernel code \([0-9a-f]*\) .*/\\$1/p" "$2"; }

# Two boots of the three may be at the same place by chance, but not all three: one of a million.
check_kernel() {
  local name=$1
  GUEST_CMDLINE=guest.end=reboot make_guest "$name" "$REPORT" </dev/null
  start_guest "$name" --set boot.decompress=host
  for boot in 1 2 3; do
    expect "$name: boot $boot" wait_console '^READY' 120 "$boot"
    type_line "$([[ $boot == 3 ]] && echo off || echo reboot)"
  done
  wait_guest 60
  expect "$name: power off gives status 0" test "$guest_status" = 0
  expect "$name: three boots" test "$(bases 1 "$CONSOLE" | wc -l)" = 3
  expect "$name: random places in memory: $(bases 1 "$CONSOLE" | xargs)" test "$(bases 1 "$CONSOLE" | sort -u | wc -l)" -gt 1
  expect "$name: random virtual addresses: $(bases 2 "$CONSOLE" | xargs)" test "$(bases 2 "$CONSOLE" | sort -u | wc -l)" -gt 1
  expect_not "$name: nothing bad in the kernel's log" grep -a '^LOG-BAD' "$CONSOLE"
}

before=$(host_state)
while read -r name GUEST_KERNEL GUEST_INITRD; do
  check_kernel "$name"
done <"$LAB_OUT/kernels"

GUEST_KERNEL=$LAB_GUEST_KERNEL GUEST_INITRD=$LAB_PLAIN_INITRD
GUEST_CMDLINE=nokaslr make_guest fixed "$REPORT" </dev/null
start_guest fixed --set boot.decompress=host
expect "nokaslr: up" wait_console '^READY' 120
type_line off
wait_guest 60
expect "nokaslr: where it was linked" test "$(bases 1 "$CONSOLE") $(bases 2 "$CONSOLE")" = "1000000 ffffffff81000000"

# With the GPU: its driver binds.
GUEST_INITRD=$LAB_GUEST_INITRD make_guest device 'show_drivers' <<'END'
[[pci]]
host = "0000:01:00.0"
END
run_guest device --set boot.decompress=host
expect "with the GPU: status 0" test "$guest_status" = 0
expect "with the GPU: its driver" guest_driver 1234:1111 bochs-drm
expect "nothing is left" state_is "$before"
finish
