#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Environment: LAB_AMD_DMA (yes or no): whether the lab's IOMMU remaps the DMA of USB controller, render GPU and NVMe disk.
. "$(dirname "$0")/../lib/inside.sh"

expect "the lab host has an AMD IOMMU" test -d /sys/class/iommu/ivhd0
before=$(host_state)
functions=(0000:01:00.0)
# In each boot the guest shows that its devices work, and then does what it is told.
# shellcheck disable=SC2016 # the guest expands it
script='show_drivers
ls /dev/dri/card0
'
draw='show_pattern "$(fb_of "$(basename "$(find_function 1234:1111)")")"'
if [[ $LAB_AMD_DMA == yes ]]; then
  functions+=(0000:02:00.0 0000:03:00.0 0000:04:00.0)
  # shellcheck disable=SC2016
  script+='until_true 20 test -c /dev/dri/renderD128 && echo RENDERS
show_stick
until_true 20 grep -q Keyboard /proc/bus/input/devices && echo KEYBOARD
until_true 20 test -b /dev/nvme0n1
dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null
echo "DATA-MD5 $(md5sum </tmp/data | cut -d" " -f1)"
dd if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct 2>/dev/null && sync
dd if=/dev/nvme0n1 bs=1M count=4 iflag=direct 2>/dev/null | cmp - /tmp/data && echo NVME-EQUAL
'
  # shellcheck disable=SC2016
  draw='show_pattern "$(fb_of "$(basename "$(find_function 1af4:1050)")")"
'$draw
fi
script+="echo READY
while read -r word; do
  case \$word in
    draw) $draw; echo PICTURES ;;
    reboot) reboot -f ;;
    off) break ;;
  esac
done
show_dmesg
"

# check_boot TIMES: all works in the guest's TIMESth boot.
check_boot() {
  wait_console '^READY' 300 "$1"
  expect "boot $1: the GPU has its driver" said_times '^DRIVER 1234:1111 bochs-drm' "$1"
  expect "boot $1: there is /dev/dri/card0" said_times '^/dev/dri/card0' "$1"
  [[ $LAB_AMD_DMA == yes ]] || return 0
  expect "boot $1: there is /dev/dri/renderD128" said_times '^RENDERS' "$1"
  expect "boot $1: the USB controller has its driver" said_times '^DRIVER 1033:0194 xhci_hcd' "$1"
  expect "boot $1: the USB keyboard is there" said_times '^KEYBOARD' "$1"
  expect "boot $1: the USB stick's bytes are right" said_times "^STICK-MD5 $stick_md5" "$1"
  expect "boot $1: 4 MiB read from the NVMe disk are what was written" said_times '^NVME-EQUAL' "$1"
  data_md5=$(sed -n 's/^DATA-MD5 \([0-9a-f]*\).*/\1/p' "$CONSOLE" | tail -n 1)
  expect "boot $1: they are on the disk outside" \
    test "$(head -c $((4 << 20)) "$LAB_OUT/nvme.img" | md5sum | cut -d' ' -f1)" = "$data_md5"
}

[[ $LAB_AMD_DMA == no ]] || stick_md5=$(head -c 1048576 "$LAB_OUT/usb.img" | md5sum | cut -d' ' -f1)
make_tile main
printf '[[pci]]\nhost = "%s"\n' "${functions[@]}" | make_guest main "$script"
start_guest main
check_boot 1
type_line reboot
check_boot 2
type_line draw
wait_console '^PICTURES' 300
check_pattern main
[[ $LAB_AMD_DMA == no ]] || expect "the render GPU shows the picture, too" shows_the_same vgpu
type_line off
wait_guest 180
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
check_dmesg
expect_not "the IOMMU has refused no access" grep -q 'AMD-Vi: Event logged' <(dmesg)
expect "nothing is left" state_is "$before"
finish
