#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shows emitted ACPI tables to iasl and acpiexec (package acpica-tools).
#   acpi_tables_test.sh EMITTER VARIANT EXPECTED
# Each table must disassemble, and compile again to the same bytes but for the header's checksum and
# compiler id, without errors, warnings or remarks. acpiexec must load the DSDT and run the commands
# in EXPECTED ("> command", then lines that its output must hold, in order) without complaint.
# Exit status 77 (skipped): the tools are not installed.
# Missing: the RSDP, which iasl does not disassemble on its own; the unit test follows it.
set -u
emitter=$1 variant=$2 expected=$3

for tool in iasl acpiexec; do
  command -v "$tool" >/dev/null || { echo "$tool not found: install acpica-tools"; exit 77; }
done
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
complain() { echo "FAILED: $*"; failures=$((failures + 1)); }

"$emitter" "$variant" "$work" || { echo "FAILED: emitter"; exit 1; }
rm -f rsdp.dat rom.dat data.dat

for table in *.dat; do
  name=${table%.dat}
  iasl -d "$table" >"$name.log" 2>&1 || complain "iasl -d $table: $(cat "$name.log")"
  grep -iE 'error|warning|incorrect|invalid|unknown' "$name.log" && complain "iasl -d $table"
  grep -iE 'incorrect checksum|should be|ACPI Error|/\*\*\*\*' "$name.dsl" && complain "$name.dsl"
  # No optimizations and no folding: the bytes must come back as they were. Remark 2173 is against objects that a method
  # makes: the window of _ROM is an operation region whose address depends on the arguments.
  iasl -vw 2173 -oa -of -oi -on -p "again_$name" "$name.dsl" >"$name.log" 2>&1 ||
    complain "iasl $name.dsl: $(cat "$name.log")"
  grep -q '0 Errors, 0 Warnings, 0 Remarks' "$name.log" || complain "$name: $(cat "$name.log")"
  # Bytes from 1: 10 is the checksum, 29 to 36 name the compiler.
  different=$(cmp -l "$table" "again_$name.aml" 2>&1 |
    awk '!($1 ~ /^[0-9]+$/) || ($1 != 10 && ($1 < 29 || $1 > 36))')
  [ -z "$different" ] || complain "$name differs after the round trip: $different"
done
[ -f DSDT.dat ] && [ -f FACP.dat ] && [ -f APIC.dat ] || complain "a table is absent: $(ls)"

# All commands in one run (each run waits a second); the expected lines must come in their order.
# A "resources" command also tries _SRS, which no device of ours has.
commands=$(sed -n 's/^> //p' "$expected" | tr '\n' ';')
[ -n "$commands" ] || complain "no command in $expected"
acpiexec -b "${commands%;}" DSDT.dat >output.txt 2>&1 </dev/null || complain "acpiexec: status $?"
sed -i '/^AcpiSetCurrentResources failed: AE_NOT_FOUND$/d' output.txt
grep -E 'ACPI (BIOS )?(Error|Warning)|AE_[A-Z]|Excess|Insufficient|[Mm]ismatch|xception|Could not' output.txt &&
  complain "acpiexec complains"
grep -vE '^(#|> |$)' "$expected" | awk '
  NR == FNR { wanted[++count] = $0; next }
  next_line < count && index($0, wanted[next_line + 1]) { ++next_line }
  END { if (next_line < count) { print "not printed in order: " wanted[next_line + 1]; exit 1 } }
' - output.txt || complain "acpiexec output"

[ "$failures" -eq 0 ] || { cat output.txt; exit 1; }
