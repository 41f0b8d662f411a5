#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_FWTS_INITRD, an initrd with fwts.
. "$(dirname "$0")/../lib/inside.sh"

# The tests of fwts that look at what a monitor makes: tables, methods, SMBIOS, resources, the clock's alarm. Not mcfg, which wants
# to map what Debian's kernels lock, mtrr, which wants a module, and maxreadreq, which judges the devices.
TESTS=(acpiinfo acpipld acpitables apicedge apicinstance aspm checksum crs dmicheck ebda facs fadt interrupt madt method
  hmat nx osilinux rsdp slit srat uniqueid wakealarm xsdt)
# Those that must have had something to judge.
JUDGES=(acpipld acpitables apicinstance checksum crs dmicheck facs fadt hmat madt method rsdp slit srat uniqueid wakealarm xsdt)
# The label of each failure that stays, and why; docs/limits.md tells users.
declare -A STAYS=(
  [FADTZeroGPE0BlkLen]='ACPI, 5.2.9: zero for a machine without general purpose events'
  [EBDAMappedNotReserved]='no BIOS has data there in boot.mode = "linux"'
)

GUEST_INITRD=$LAB_FWTS_INITRD make_guest main '
while sleep 20; do echo "AT $(tail -n 1 /tmp/results.log | cut -c 1-60)"; done &
fwts --quiet --log-width 160 --results-output /tmp/results.log '"${TESTS[*]}"'
echo "FWTS $?"
grep -a FAILED /tmp/results.log
sed -n "/^Test  *|Pass/,\$p" /tmp/results.log | tr -d " "
show_dmesg
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

# passes TEST: at least one of its checks passed.
passes() { grep -aq "^$1|[1-9]" "$CONSOLE" || { grep -a "^$1|" "$CONSOLE"; false; }; }

before=$(host_state)
start_guest main
wait_guest 300
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "fwts has come to its end" guest_said '^FWTS [01].$'
for judge in "${JUDGES[@]}"; do
  expect "fwts has judged: $judge" passes "$judge"
done
grep -a 'FAILED \[' "$CONSOLE" || true
expect "it fails what stays as it is, and nothing else" diff <(printf '%s\n' "${!STAYS[@]}" | sort) \
  <(sed -n 's/.*FAILED \[[A-Z]*\] \([A-Za-z0-9]*\):.*/\1/p' "$CONSOLE" | sort -u)
check_dmesg
expect "nothing is left" state_is "$before"
finish
