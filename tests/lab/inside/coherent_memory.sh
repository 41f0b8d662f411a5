#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

before=$(host_state)

# ---- The memory of a device as a node of the guest.

# The kernel's handlers of faults in VFIO's mappings: whoever touches the memory, the monitor by itself or KVM for the guest, comes
# there once for each page (or large page) that is not mapped yet. vmf->address is at 24 in struct vm_fault of 6.12.
TRACE=/sys/kernel/tracing
watch_faults() {
  mountpoint -q $TRACE || mount -t tracefs none $TRACE
  echo 0 >/proc/sys/debug/kprobes-optimization
  echo 32768 >$TRACE/buffer_size_kb
  for function in vfio_pci_mmap_page_fault vfio_pci_mmap_huge_fault; do
    echo "p:$function $function address=+24(%di):x64" >>$TRACE/kprobe_events
  done
  echo 1 >$TRACE/events/kprobes/enable
}

# faults: how many there were in the mapping of the BAR, as "by the guest's CPUs, by others".
faults() {
  perl -e '
    my ($pid, $trace) = @ARGV;
    open my $maps, "<", "/proc/$pid/maps" or die "$!\n";
    my ($first, $end);
    while (<$maps>) {
      my ($from, $to) = m{^([0-9a-f]+)-([0-9a-f]+) rw-s .*vfio} or next;
      ($first, $end) = (hex $from, hex $to) if hex($to) - hex($from) == 1 << 30;
    }
    $end or die "there is no mapping of 1 GiB\n";
    my %count = (guest => 0, others => 0);
    open my $events, "<", $trace or die "$!\n";
    while (<$events>) {
      /^\s*(\S+)-\d+ .*address=0x([0-9a-f]+)/ && hex $2 >= $first && hex $2 < $end or next;
      $count{$1 =~ /^vcpu-/ ? "guest" : "others"}++;
    }
    print "$count{guest} $count{others}\n"' "$(monitor_of "$guest")" $TRACE/trace
}

mkdir -p "$WORK/initrd-memory"
cp "$LAB_OUT"/{touch_node,device_dax.ko,kmem.ko} "$WORK/initrd-memory/"
GUEST_INITRD=$LAB_DAX_INITRD make_guest memory "
grep -i 'soft reserved' /proc/iomem | sed 's/^/IOMEM /'
echo \"BARS \$(grep -vc '^0x0000000000000000 0x0000000000000000' /sys/bus/pci/devices/0000:01:00.0/resource)\"
echo \"OFFLINE \$(cat /sys/devices/system/node/has_memory) \$(cat /sys/devices/system/node/possible)\"
for f in /sys/class/power_supply/*; do echo \"POWER \${f##*/} \$(cat \$f/type) \$(cat \$f/status \$f/online 2>/dev/null)\"; done
insmod /device_dax.ko
dax=\$(ls /sys/bus/dax/devices | head -n 1)
echo \$dax >/sys/bus/dax/drivers/device_dax/new_id
for d in /sys/bus/dax/devices/*; do echo \"DAX \${d##*/} \$(cat \$d/size) node \$(cat \$d/target_node) \$(ls /dev/dax* 2>/dev/null)\"; done
echo DAX-END
read line
echo offline >/sys/devices/system/memory/auto_online_blocks
echo \$dax >/sys/bus/dax/drivers/device_dax/unbind
echo \$dax >/sys/bus/dax/drivers/device_dax/remove_id
insmod /kmem.ko
[ -e /sys/bus/dax/drivers/kmem/\$dax ] || echo \$dax >/sys/bus/dax/drivers/kmem/new_id
for block in /sys/devices/system/node/node1/memory*; do echo online_movable >\$block/state; done
for node in /sys/devices/system/node/node*; do
  echo \"NODE \${node##*node} mib \$((\$(sed -n 's/.*MemTotal: *\([0-9]*\) kB/\1/p' \$node/meminfo) / 1024)) distance \$(cat \$node/distance)\"
done
/touch_node 1 256
echo TOUCHED
read line
show_dmesg" <<'END'
[machine]
battery = true
[[pci]]
host = "0000:05:00.0"
coherent_memory = { bar = 2 }
END
watch_faults
start_guest memory
wait_console '^DAX-END' 300
expect "before the guest uses it nobody has touched a byte of it, the monitor least" test "$(faults)" = "0 0"
expect "the guest has a battery, which is full or not charged" guest_said '^POWER BAT0 Battery [FN]'
expect "and an AC adapter that is on line" guest_said '^POWER ADP0 Mains 1'
expect "the kernel knows it as soft reserved" guest_said '^IOMEM .*Soft Reserved'
expect "the guest sees no BAR 2: two BARs" guest_said '^BARS [12]'
expect "only node 0 has memory, node 1 may have" guest_said '^OFFLINE 0 0-1'
expect "it is a dax device of 1 GiB on node 1" guest_said "^DAX dax0.0 $((1 << 30)) node 1 /dev/dax0.0"
type_line go
wait_console '^TOUCHED' 300
expect "it is online as node 1, 1 GiB less what the kernel keeps" guest_said '^NODE 1 mib \(9[0-9][0-9]\|10[0-2][0-9]\) distance 20 10'
expect "256 MiB of pages were written on node 1" guest_said '^PAGES 65536 65536'
read -r by_guest by_others < <(faults)
echo "faults in the mapping: $by_guest by vCPUs, $by_others by others"
expect "now the guest's CPUs have" test "$by_guest" -gt 0
expect "and still nobody else" test "$by_others" = 0
# In large pieces: each read of the shared folder is a journey.
found=$(perl -e '
  my (%seen, $bytes);
  open my $file, "<:raw", $ARGV[0] or die "$!\n";
  while (sysread $file, $bytes, 1 << 20, length($bytes // "")) {
    my $whole = length($bytes) & ~4095;
    for (my $at = 0; $at < $whole; $at += 4096) {
      next unless substr($bytes, $at, 14) eq "gpuvm-coherent";
      my $number = substr $bytes, $at + 16, 8;
      $seen{unpack "Q<", $number} = 1 if $number eq substr $bytes, $at + 4088, 8;
    }
    $bytes = substr $bytes, $whole;
  }
  print scalar grep { $seen{$_} } 0 .. 65535' "$LAB_OUT/bar.mem")
expect "all 65536 are in the memory behind the BAR" test "$found" = 65536
type_line go
wait_guest 100
expect "power off, status 0" test "$guest_status" = 0
check_dmesg

# ---- The same memory at the host's own address.

read -r host_first host_last _ < <(sed -n 3p /sys/bus/pci/devices/0000:05:00.0/resource)
GUEST_INITRD=$LAB_PLAIN_INITRD make_guest identity "
grep -i 'soft reserved' /proc/iomem | sed 's/^ */IOMEM /'
for bar in \$(cut -d' ' -f1 /sys/bus/pci/devices/0000:01:00.*/resource); do echo \"BAR \$bar\"; done
devmem \$(($host_last - 4095)) 64 0x7961687265746e69
show_dmesg" <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:05:00.0"
coherent_memory = { bar = 2, place = "host" }
END
run_guest identity
expect "memory at the host's address: status 0" test "$guest_status" = 0
expect "the guest has it where the host has it" \
  guest_said "^IOMEM $(printf '%08x-%08x' "$host_first" "$host_last") : Soft Reserved"
expect "what it writes into the last page is there" \
  test "$(tail -c 4096 "$LAB_OUT/bar.mem" | head -c 8)" = interhay
check_dmesg

# ---- What cannot be.

refuses_to_run memory "memory that is no BAR" 'coherent_memory.bar = 1' --set 'pci.0.host="0000:05:00.0"' \
  --set 'pci.0.coherent_memory={bar=1}'
refuses_to_run memory "an address below 4 GiB" 'below 4 GiB' --set 'pci.0.host="0000:01:00.0"' \
  --set 'pci.0.coherent_memory={ bar = 0, place = "host" }'
refuses_to_run memory "registers in place of memory" 'is no memory, but a page of registers' --set 'pci.0.host="0000:05:00.0"' \
  --set 'pci.0.coherent_memory={ region = "nvlink2-atsd" }'
refuses_to_run memory "a region that the device does not have" 'it has none' --set 'pci.0.host="0000:05:00.0"' \
  --set 'pci.0.coherent_memory={ region = "nvlink2-ram" }'
expect "the host's drivers are back and nothing is left" state_is "$before"
finish
