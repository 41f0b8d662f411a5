#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# check_drivers NAME DRIVER…: of GPU, audio function and USB controller; empty for none.
check_drivers() {
  expect "$1: the GPU's driver is '$2'" guest_driver 1234:1111 "$2"
  expect "$1: the audio function's driver is '$3'" guest_driver 8086:2668 "$3"
  expect "$1: the USB controller's driver is '$4'" guest_driver 1033:0194 "$4"
}

before=$(host_state)
while read -r name GUEST_KERNEL GUEST_INITRD; do
  make_guest "$name" '
uname -r
show_drivers
lspci -n
show_dmesg' <<'END'
[[pci]]
host = "0000:01:00.0"
[[pci]]
host = "0000:02:00.0"
END
  run_guest "$name"
  expect "$name: boots and powers off with status 0" test "$guest_status" = 0
  expect "$name: reached its init" guest_said GUEST-INIT-REACHED
  case $name in
    *-cloud) check_drivers "$name" '' '' '' ;;
    *) check_drivers "$name" bochs-drm snd_hda_intel xhci_hcd ;;
  esac
  check_dmesg
done <"$LAB_OUT/kernels"
expect "nothing is left" state_is "$before"
finish
