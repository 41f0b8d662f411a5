#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Shows our synthesised configuration space to the real lspci (package pciutils).
#   lspci_test.sh DUMPER EXPECTED
# Its decoding must be exactly EXPECTED, and it must not complain. Numbers only (-n), so that the
# text does not depend on the version of the name database.
# Exit status 77 (skipped): lspci is not installed.
# After an intended change: GPUVM_UPDATE_GOLDEN=1 rewrites EXPECTED; read the difference.
set -u
dumper=$1 expected=$2

PATH=$PATH:/usr/sbin:/sbin
command -v lspci >/dev/null || { echo "lspci not found: install pciutils"; exit 77; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

"$dumper" >"$work/dump" || { echo "FAILED: $dumper"; exit 1; }
LC_ALL=C lspci -F "$work/dump" -n -vv >"$work/output" 2>"$work/errors" ||
  { echo "FAILED: lspci"; cat "$work/errors"; exit 1; }
# What depends on the host and not on the dump: modules that would match, and their absence.
grep -v 'Kernel modules:' "$work/output" >"$work/decoded"
grep -v 'libkmod' "$work/errors" >"$work/complaints"
if [ -s "$work/complaints" ]; then
  echo "FAILED: lspci complains:"
  cat "$work/complaints"
  exit 1
fi
if [ -n "${GPUVM_UPDATE_GOLDEN:-}" ]; then
  cp "$work/decoded" "$expected" || exit 1
fi
diff -u "$expected" "$work/decoded" || { echo "FAILED: lspci decodes something else"; exit 1; }
