# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# What the tests' guest scripts share; make_guest (tests/lab/lib/inside.sh) puts it before each of them. Busybox shell.

# until_true SECONDS COMMAND…: waits for it; fails when the time is up.
until_true() {
  tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}

# One line "DRIVER vendor:device driver" for each PCI function, and "DRIVERS-END".
show_drivers() {
  for device in /sys/bus/pci/devices/*; do
    driver=$(readlink "$device/driver")
    echo "DRIVER $(cut -c3- "$device/vendor"):$(cut -c3- "$device/device") ${driver##*/}"
  done
  echo DRIVERS-END
}

# The device DIRECTORY in sysfs of the PCI function with this "vendor:device".
find_function() {
  for device in /sys/bus/pci/devices/*; do
    [ "$(cat "$device/vendor" "$device/device" | tr -d '\n')" = "0x${1%:*}0x${1#*:}" ] && echo "$device" && return
  done
}

show_dmesg() {
  echo DMESG-BEGIN
  dmesg
  echo DMESG-END
}

# Reads the stick's first MiB past the page cache.
show_stick() {
  # The node is there before it can be opened.
  until_true 60 dd if=/dev/sda of=/dev/null bs=512 count=1 || echo "NO-STICK: $(dmesg | tail -n 5)"
  dd if=/dev/sda bs=64k count=16 iflag=direct 2>/tmp/dd-said >/tmp/stick || echo "STICK-ERROR $(cat /tmp/dd-said)"
  echo "STICK-MD5 $(md5sum </tmp/stick | cut -d' ' -f1) of $(stat -c %s /tmp/stick) bytes"
}

# The frame buffer of the PCI function with this address.
fb_of() {
  for fb in /sys/class/graphics/fb[0-9]; do
    case $(readlink -f "$fb/device")/ in */"$1"/*) echo "${fb##*/}" ;; esac
  done
}

# show_pattern [FB]: fills the screen (fb0) with the bytes of /tile again and again; the kernel's console leaves the screen first.
show_pattern() {
  fb=${1:-fb0}
  for console in /sys/class/vtconsole/*; do
    grep -q "frame buffer" "$console/name" && echo 0 >"$console/bind"
  done
  # A second frame buffer has no mode until somebody sets one; the console does so for the first.
  [ "$fb" = fb0 ] || echo 32 >"/sys/class/graphics/$fb/bits_per_pixel"
  stride=$(cat "/sys/class/graphics/$fb/stride")
  size=$(tr , ' ' <"/sys/class/graphics/$fb/virtual_size")
  height=${size#* }
  cp /tile /tmp/frame
  # Twice as much each time: an emulated guest takes a tenth of a second for each process.
  while [ "$(stat -c %s /tmp/frame)" -lt $((stride * height)) ]; do
    cat /tmp/frame /tmp/frame >/tmp/frame.twice && mv /tmp/frame.twice /tmp/frame
  done
  # In one write: of a write of exactly one row Linux's frame buffer helper (drm_fb_helper_memory_range_to_clip) computes an
  # empty rectangle and shows nothing.
  dd if=/tmp/frame of="/dev/$fb" bs=$((stride * height)) count=1 2>/dev/null
  echo "FRAME $size $stride"
}
