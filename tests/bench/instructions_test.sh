#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# instructions_test.sh RUNNER TABLE: instructions that each path takes, by callgrind, against the table: no path may take 5 % more than
# it has there, nor 5 % fewer, which is to be written down. Only what a thousand more rounds add is counted, so neither the program's
# start nor what it makes first. INSTRUCTIONS_WRITE=yes writes the table.
set -euo pipefail
runner=$1 table=$2
command -v valgrind >/dev/null || { echo "skipped: valgrind is missing"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# instructions PATH COUNT: of a whole run.
instructions() {
  valgrind --tool=callgrind --callgrind-out-file="$work/out" "$runner" "$1" "$2" >"$work/said" 2>&1 || { cat "$work/said" >&2; return 1; }
  awk '/^(summary|totals):/ { print $2; exit }' "$work/out"
}

status=0
while IFS=$'\t' read -r path what; do
  few=$(instructions "$path" 1000)
  many=$(instructions "$path" 2000)
  printf '%s\t%d\t%s\n' "$path" $(((many - few) / 1000)) "$what"
done < <("$runner") >"$work/now"
if [[ ${INSTRUCTIONS_WRITE:-} == yes ]]; then
  { sed -n '/^#/p' "$table"; cat "$work/now"; } >"$work/table"
  cp "$work/table" "$table"
fi
while IFS=$'\t' read -r path now what; do
  then=$(awk -F'\t' -v path="$path" '$1 == path { print $2 }' "$table")
  printf '%-20s %6d instructions, %6s in the table: %s\n' "$path" "$now" "${then:-none}" "$what"
  if [[ -z $then ]] || ((now * 100 > then * 105 || now * 100 < then * 95)); then
    echo "NOT OK: $path takes $now instructions, and ${then:-none} in $table: if that is meant, write it there (INSTRUCTIONS_WRITE=yes)"
    status=1
  fi
done <"$work/now"
exit "$status"
