#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the real lspci (package pciutils) decodes of a real function's configuration space, and of what a guest sees of it.
#   lspci_patch_test.sh PATCHER EXPECTED DUMP [WORD…]
# EXPECTED is the whole decoding with lines that the guest does not see ("-") and those it sees in their place ("+").
# Exit status 77 (skipped): lspci is not installed.
# After an intended change: GPUVM_UPDATE_GOLDEN=1 rewrites EXPECTED; read the difference.
set -u
patcher=$1 expected=$2
shift 2

PATH=$PATH:/usr/sbin:/sbin
command -v lspci >/dev/null || { echo "lspci not found: install pciutils"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

for when in before after; do
  "$patcher" "$when" "$@" >"$work/dump" || { echo "FAILED: $patcher"; exit 1; }
  LC_ALL=C lspci -F "$work/dump" -n -vv >"$work/output" 2>"$work/errors" ||
    { echo "FAILED: lspci"; cat "$work/errors"; exit 1; }
  # What depends on the host and not on the dump: modules that would match, and their absence.
  grep -v 'Kernel modules:' "$work/output" >"$work/$when"
  if grep -v 'libkmod' "$work/errors"; then
    echo "FAILED: lspci complains of the configuration space $when"
    exit 1
  fi
done
diff -U 1000 "$work/before" "$work/after" | sed '1,3d' >"$work/decoded"
[ -s "$work/decoded" ] || { echo "FAILED: nothing is patched"; exit 1; }
if [ -n "${GPUVM_UPDATE_GOLDEN:-}" ]; then
  cp "$work/decoded" "$expected" || exit 1
fi
diff -u "$expected" "$work/decoded" || { echo "FAILED: lspci decodes something else"; exit 1; }
