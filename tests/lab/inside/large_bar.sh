#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

SIZE=$((16 << 30))
END_OFFSET=$((SIZE - 32))
export GUEST_INITRD=$LAB_PLAIN_INITRD
before=$(host_state)

# boot_seconds NAME: how long the guest took to its init, in a run to the end.
boot_seconds() {
  local now
  start_guest "$1"
  wait_console GUEST-INIT-REACHED 300
  now=$EPOCHREALTIME
  wait_guest 180
  seconds=$(awk -v a="$started" -v b="$now" 'BEGIN { printf "%.1f", b - a }')
}

make_guest without true </dev/null
boot_seconds without
without=$seconds

mkdir -p "$WORK/initrd-main"
cp "$LAB_OUT/bar_write" "$WORK/initrd-main/"
make_guest main "
device=\$(find_function 1af4:1110)
sed -n '3s/^/BAR2 /p' \$device/resource
echo 1 >\$device/enable
for offset in 0 $((SIZE / 2)) $END_OFFSET; do /bar_write \$device/resource2 \$offset gpuvm-\$offset && echo WROTE \$offset; done
show_dmesg
" <<'END'
[[pci]]
host = "0000:05:00.0"
END
boot_seconds main
echo "seconds to init: $without without the device, $seconds with it"

expect "power off ends gpuvm with status 0" test "$guest_status" = 0
read -r _ start end flags < <(grep -a '^BAR2 ' "$CONSOLE" | tr -d '\r')
echo "BAR 2: $start to $end, flags $flags"
expect "the guest sees a BAR of 16 GiB" test $((end - start + 1)) = "$SIZE"
expect "it is above 4 GiB" test $((start >> 32)) -gt 0
# Linux, include/linux/ioport.h: IORESOURCE_MEM_64 0x100000, IORESOURCE_PREFETCH 0x2000, IORESOURCE_MEM 0x200.
expect "it is a 64-bit prefetchable memory BAR" test $((flags & 0x102200)) = $((0x102200))
for offset in 0 $((SIZE / 2)) $END_OFFSET; do
  expect "what the guest wrote at $offset is in the memory behind it" \
    test "$(tail -c +$((offset + 1)) "$LAB_OUT/bar.mem" | head -c $((6 + ${#offset})))" = "gpuvm-$offset"
done
check_dmesg
expect "nothing is left" state_is "$before"
finish
