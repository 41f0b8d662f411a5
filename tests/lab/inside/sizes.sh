#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# The reports of a guest about its size. $1: what to do before.
report() {
  # shellcheck disable=SC2016 # the guest expands it
  printf '%s\n' "$1" '
echo "NPROC $(nproc)"
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
  echo "CPU $(cat $cpu/topology/physical_package_id) $(cat $cpu/topology/core_id) $(cat $cpu/topology/thread_siblings_list)"
done
echo "MEMORY $(sed -n "s/MemTotal: *\([0-9]*\) kB/\1/p" /proc/meminfo)"
show_dmesg
echo LAST-WORD'
}

# check_size NAME CPUS MIB: runs the guest NAME and judges what it says.
check_size() {
  local name=$1 cpus=$2 mib=$3 said now kib
  start_guest "$name"
  wait_console '^LAST-WORD' 300
  said=$EPOCHREALTIME
  wait_guest 180
  now=$EPOCHREALTIME
  echo "$name: power off took $(awk -v a="$said" -v b="$now" 'BEGIN { printf "%.2f", b - a }') s"
  expect "$name: power off ends gpuvm with status 0" test "$guest_status" = 0
  expect "$name: $cpus CPUs are on line" guest_said "^NPROC $cpus.\\?$"
  expect "$name: one package, one core for each CPU" test \
    "$(grep -a '^CPU ' "$CONSOLE" | tr -d '\r' | sort -u | awk '{ print $2, $3 == $4 }' | uniq -c | tr -s ' ')" = " $cpus 0 1"
  kib=$(sed -n 's/^MEMORY \([0-9]*\).*/\1/p' "$CONSOLE")
  # The kernel keeps its own image and page tables out of MemTotal.
  expect "$name: $kib KiB of $mib MiB are usable" test "$kib" -gt $((mib * 1024 * 95 / 100 - 50000)) -a "$kib" -lt $((mib * 1024))
  check_dmesg
}

before=$(host_state)
# shellcheck disable=SC2034 # make_guest reads it
GUEST_INITRD=$LAB_PLAIN_INITRD
make_guest small "$(report true)" <<'END'
[machine]
cpus = 1
memory = "512MiB"
END
check_size small 1 512

echo 520 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
make_guest huge "$(report true)" <<'END'
[machine]
cpus = 2
memory = "1GiB"
hugepages = "2MiB"
END
check_size huge 2 1024
expect "huge: all huge pages are free again" test "$(</sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages)" = 520
echo 0 >/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages

# Many: all of them started, and as many as there can be, of which the guest starts two.
make_guest many "$(report true)" <<'END'
[machine]
cpus = 12
memory = "512MiB"
END
check_size many 12 512
GUEST_CMDLINE=maxcpus=2 make_guest most "$(report 'echo "CPUS $(cat /sys/devices/system/cpu/possible /sys/devices/system/cpu/present /sys/devices/system/cpu/online | tr "\n" " ")"')" <<'END'
[machine]
cpus = 255
memory = "1GiB"
END
start_guest most
wait_console '^LAST-WORD' 300
wait_guest 180
expect "most: power off ends gpuvm with status 0" test "$guest_status" = 0
expect "most: 255 CPUs are there, two of them on line" guest_said '^CPUS 0-254 0-254 0-1 '
check_dmesg

# With a device, so that memory on both sides of the hole below 4 GiB is mapped for DMA.
GUEST_INITRD=$LAB_GUEST_INITRD
make_guest large "$(report show_stick)" <<'END'
[machine]
cpus = 4
memory = "5GiB"
[[pci]]
host = "0000:02:00.0"
END
check_size large 4 5120
expect "large: the USB stick's bytes are right" guest_said "^STICK-MD5 $(head -c 1048576 "$LAB_OUT/usb.img" | md5sum | cut -d' ' -f1)"

# A stop while memory is still given its pages and pinned ends with the mapping in progress, at most 1 GiB.
start_guest large --events "$WORK/large.events" -v
until grep -q '"to":"running"' "$WORK/large.events" 2>/dev/null || ! is_running "$guest"; do pause 0.02; done
kill "$guest"
wait_log 'Power button pressed' 60
asked=$EPOCHREALTIME
kill -INT "$guest" # the same signal at once would be the same request
wait_guest 120
stopping=$(date -d "$(sed -n 's/.*"time":"\([^"]*\)".*"to":"stopping".*/\1/p' "$WORK/large.events")" +%s.%N)
expect "large: the second signal ends it" test "$guest_status" = 130
expect_not "large: not all of its memory was mapped" logged 'Guest memory is mapped'
expect "large: its CPUs and its memory let go within 2 s and one mapping" awk -v a="$asked" -v b="$stopping" \
  'BEGIN { printf "%.2f s\n", b - a; exit !(b - a < 4) }'
expect "nothing is left" state_is "$before"
finish
