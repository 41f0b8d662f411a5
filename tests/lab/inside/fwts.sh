#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_FWTS_INITRD, an initrd with fwts and the module msr.
. "$(dirname "$0")/../lib/inside.sh"

# The tests of fwts that look at what a monitor makes: tables, methods, SMBIOS, configuration space, MTRRs, the clock's alarm.
TESTS=(acpiinfo acpipld acpitables apicedge apicinstance aspm checksum crs csm cstates dmicheck ebda facs fadt hda_audio hmat
  interrupt madt maxreadreq mcfg method mpcheck msr mtrr nx osilinux pciirq rsdp slit srat uniqueid wakealarm xsdt)
GUEST_INITRD=$LAB_FWTS_INITRD GUEST_CMDLINE="iomem=relaxed" make_guest main '
while sleep 20; do echo STILL; done &
time fwts --quiet -w 200 --log-format "%time %owner %field: " -r /tmp/results.log '"${TESTS[*]}"'
grep -a -A 8 FAILED /tmp/results.log
awk "{print \$1, \$2}" /tmp/results.log | uniq
cat /tmp/results.log | grep -v -i skip
dmesg
' <<'END_OF_CONFIG'
[machine]
cpus = 2
memory = "1GiB"
battery = true
[[node]]
cpus = [0]
memory = "512MiB"
[[node]]
cpus = [1]
memory = "512MiB"
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END_OF_CONFIG
start_guest main
wait_guest 600
cat "$CONSOLE"
