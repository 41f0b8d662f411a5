#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

before=$(host_state)
make_tile main
make_guest main '
until_true 20 test -c /dev/dri/renderD128 && ls /dev/dri/renderD128
until_true 20 test -b /dev/nvme0n1
show_drivers
dd if=/dev/urandom of=/tmp/data bs=1M count=64 2>/dev/null
echo "DATA-MD5 $(md5sum </tmp/data | cut -d" " -f1)"
dd if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct 2>&1 && sync && echo NVME-WRITTEN
dd if=/dev/nvme0n1 bs=1M count=64 iflag=direct 2>/dev/null | cmp - /tmp/data && echo NVME-EQUAL
show_pattern
read -r go
show_dmesg
' <<'END'
[[pci]]
host = "0000:03:00.0"
[[pci]]
host = "0000:04:00.0"
END

start_guest main
wait_console NVME-WRITTEN 300
check_pattern main vgpu
type_line go
wait_guest 180
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "there is /dev/dri/renderD128" guest_said '^/dev/dri/renderD128'
expect "the NVMe disk has its driver" guest_driver 1b36:0010 nvme
expect "64 MiB read from the NVMe disk are what was written" guest_said '^NVME-EQUAL'
md5=$(sed -n 's/^DATA-MD5 \([0-9a-f]*\).*/\1/p' "$CONSOLE")
expect "they are on the disk outside" test "$(head -c $((64 << 20)) "$LAB_OUT/nvme.img" | md5sum | cut -d' ' -f1)" = "$md5"
check_dmesg
expect "nothing is left" state_is "$before"
finish
