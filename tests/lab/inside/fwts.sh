#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"
GUEST_INITRD=$LAB_FWTS_INITRD GUEST_CMDLINE="iomem=relaxed" make_guest main '
uname -r; lsmod
time fwts --batch --quiet -w 200 --log-format "%time %owner %line" -r /tmp/results.log
grep -a -A 20 FAILED /tmp/results.log
awk "{print \$1, \$2, \$3}" /tmp/results.log | uniq
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
run_guest main
cat "$CONSOLE"
