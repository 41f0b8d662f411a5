#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

before=$(host_state)
# The firmware of the lab host says nothing of its devices' nodes; sysfs lets root say it.
echo 1 >/sys/bus/pci/devices/0000:01:00.0/numa_node
NODES=/sys/devices/system/node

PCI='[[pci]]
host = "0000:01:00.0"'

expect "the lab host has two nodes" test "$(cat $NODES/online)" = 0-1

# pages_on NODE: of the running guest's memory; the mapping is the memfd's or the hidden tmpfs'.
pages_on() { grep -E 'gpuvm-guest-memory|/#' "/proc/$(monitor_of "$guest")/numa_maps" | grep -o " N$1=[0-9]*" | cut -d= -f2 | awk '{ sum += $1 } END { print sum + 0 }'; }

# has_pages NODE MIB: so much of the guest's memory is there. It gets its pages while the guest boots, behind the guest's CPUs.
has_pages() {
  local end=$((SECONDS + 60))
  until (($(pages_on "$1") == $2 * 256)); do
    ((SECONDS < end)) || { echo "$(pages_on "$1") pages"; return 1; }
    sleep 0.2
  done
}

# ---- Two nodes, one on each of the host's, and pinned vCPUs.

SHOW='
for node in /sys/devices/system/node/node*; do
  echo "NODE ${node##*node} cpus $(cat $node/cpulist) mib $(($(sed -n "s/.*MemTotal: *\([0-9]*\) kB/\1/p" $node/meminfo) / 1024)) distance $(cat $node/distance)"
done
for device in /sys/bus/pci/devices/*; do echo "PCI ${device##*/} node $(cat $device/numa_node)"; done
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
  echo "CPU ${cpu##*cpu} package $(cat $cpu/topology/physical_package_id) siblings $(cat $cpu/topology/core_siblings_list)"
done
echo "INITIATOR $(cat /sys/devices/system/node/has_generic_initiator 2>/dev/null)"
'
GUEST_INITRD=$LAB_PLAIN_INITRD make_guest nodes "$SHOW
read line
show_dmesg" <<END
$PCI
[machine]
cpus = 3
memory = "512MiB"
pin = [1, 0, 1]
[[node]]
cpus = [0, 2]
memory = "192MiB"
host_node = 0
[[node]]
cpus = [1]
memory = "320MiB"
host_node = 1
END
start_guest nodes
wait_console '^INITIATOR' 300
for thread in /proc/"$(monitor_of "$guest")"/task/*; do
  printf '%s %s\n' "$(cat "$thread/comm")" "$(sed -n 's/Cpus_allowed_list:\t//p' "$thread/status")"
done >"$WORK/threads"
expect "vCPU 0 runs on the host's CPU 1" grep -qx 'vcpu-0 1' "$WORK/threads"
expect "vCPU 1 runs on the host's CPU 0" grep -qx 'vcpu-1 0' "$WORK/threads"
expect "192 MiB of its memory are on the host's node 0" has_pages 0 192
expect "320 MiB on node 1" has_pages 1 320
cp "/proc/$(monitor_of "$guest")/numa_maps" "$WORK/numa_maps.log"
type_line go
wait_guest 60
expect "power off, status 0" test "$guest_status" = 0
expect "the guest's node 0 has vCPUs 0 and 2" guest_said '^NODE 0 cpus 0,2 mib 1[0-9][0-9] distance 10 21'
expect "its node 1 has vCPU 1" guest_said '^NODE 1 cpus 1 mib [23][0-9][0-9] distance 21 10'
expect "the GPU is an initiator of node 1" guest_said '^INITIATOR 1'
expect "and a PCI device of node 1" guest_said '^PCI 0000:01:00.0 node 1'
expect "vCPUs 0 and 2 are a package" guest_said '^CPU 0 package 0 siblings 0,2'
expect "says vCPU 2, too" guest_said '^CPU 2 package 0 siblings 0,2'
expect "vCPU 1 is another" guest_said '^CPU 1 package 1 siblings 1'
check_dmesg
expect_not "the kernel finds packages and nodes to fit" grep -aE "topology_sane|sched: CPU #|APIC ID mismatch" "$WORK/dmesg"

# ---- No nodes: the memory comes from the GPU's.

GUEST_INITRD=$LAB_PLAIN_INITRD make_guest plain 'echo READY; read line' <<<"$PCI"
start_guest plain
wait_console '^READY' 300
expect "without nodes the guest's memory is on the GPU's" has_pages 1 1024
type_line go
wait_guest 60

refuses_to_run plain "a node that the host does not have" 'node.0.host_node = 7: this host has no such NUMA node; it has 0-1' \
  --set 'node.0.cpus=[0]' --set 'node.0.memory="1GiB"' --set node.0.host_node=7
refuses_to_run plain "memory that does not add up" 'must add up to it' --set 'node.0.cpus=[0]' --set 'node.0.memory="512MiB"'
refuses_to_run plain "a vCPU that is not there" 'node.0.cpus' --set 'node.0.cpus=[1]' --set 'node.0.memory="1GiB"'
refuses_to_run plain "a processor that the host does not have" 'machine.pin = 9' --set 'machine.pin=[9]'

expect "the host's drivers are back and nothing is left" state_is "$before"
finish
