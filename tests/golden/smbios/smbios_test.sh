#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shows emitted SMBIOS tables to dmidecode and compares its text with the stored one.
#   smbios_test.sh EMITTER EXPECTED
# Exit status 77 (skipped): dmidecode is not installed.
set -u
emitter=$1 expected=$2
PATH=$PATH:/usr/sbin:/sbin
command -v dmidecode >/dev/null || { echo "dmidecode not found: install dmidecode"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

"$emitter" "$work/dump" || { echo "FAILED: emitter"; exit 1; }
dmidecode --from-dump "$work/dump" >"$work/all.txt" 2>&1 || { cat "$work/all.txt"; exit 1; }
# The first line that is left out tells the file's path. Lines that start with "#" tell dmidecode's version and its complaints; the latter are not wanted.
if grep -iE 'bad|broken|corrupt|invalid|wrong|truncated|<OUT OF SPEC>|not fully supported' \
  "$work/all.txt"; then
  echo "FAILED: dmidecode complains"
  exit 1
fi
grep -vE '^(#|Reading SMBIOS)' "$work/all.txt" >"$work/text.txt"
grep -v '^#' "$expected" >"$work/expected.txt"
diff -u "$work/expected.txt" "$work/text.txt"
