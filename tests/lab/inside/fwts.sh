#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
GUEST_INITRD=$LAB_FWTS_INITRD make_guest main '
uname -r
time fwts --batch --quiet -r /tmp/results.log
grep -a FAILED /tmp/results.log
tail -n 400 /tmp/results.log
' <<'END_OF_CONFIG'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END_OF_CONFIG
run_guest main
cat "$CONSOLE"
