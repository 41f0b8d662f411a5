#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

expect "the lab host has an AMD IOMMU" test -d /sys/class/iommu/ivhd0
before=$(host_state)
make_tile main
make_guest main '
show_drivers
ls /dev/dri/card0
show_pattern
read -r go
show_dmesg
' <<'END'
[[pci]]
host = "0000:01:00.0"
END
start_guest main
wait_console GUEST-MODULES-LOADED 300
check_pattern main
type_line go
wait_guest 180
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "the GPU has its driver" guest_driver 1234:1111 bochs-drm
expect "there is /dev/dri/card0" guest_said '^/dev/dri/card0'
check_dmesg
expect "nothing is left" state_is "$before"
finish
