#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

HOST=69  # as in the manual, gpuvm(1)
VGA=0000:01:00.0 DISPLAY_CONTROLLER=0000:07:00.0

# bar_of BDF: where the host has BAR 0.
bar_of() { awk 'NR == 1 { print $1 }' "/sys/bus/pci/devices/$1/resource"; }

# refused WHAT NAME TEXT [OPTION…]: a run of the guest NAME ends with status 69 and a line that has TEXT; the host is as before.
refused() {
  local what=$1 name=$2 text=$3 got=0
  shift 3
  "$GPUVM" run "$@" "$WORK/$name.toml" >"$WORK/$name.log" 2>&1 </dev/null || got=$?
  grep 'gpuvm: error' "$WORK/$name.log" || true
  expect "$what: status $HOST" test "$got" = "$HOST"
  expect "$what: the message" grep -q "$text" "$WORK/$name.log"
  expect "$what: the host is as before" state_is "$before"
}

make_guest display true <<END
[[pci]]
host = "$DISPLAY_CONTROLLER"
END
make_guest vga true <<END
[[pci]]
host = "$VGA"
END

test_frame_buffers() {
  local at=$(($(bar_of "$DISPLAY_CONTROLLER")))
  insmod "$LAB_HOST_USE" address="$at" bytes=$((1 << 20)) name=simpledrm
  grep -B 1 simpledrm /proc/iomem
  before=$(host_state)
  refused "a frame buffer in a BAR" display "frame buffer.*BAR 0 (simpledrm at $(printf '%#x' "$at")).*initcall_blacklist" --verbose
  expect_not "a frame buffer in a BAR: nothing was touched" grep -q 'functions are open' "$WORK/display.log"
  refused "a frame buffer in a BAR, looked at" display 'BAR 0 (simpledrm' --dry-run
  rmmod host_use
  expect "without it all is well" "$GPUVM" run --dry-run "$WORK/display.toml"

  # vfio-pci removes the firmware's own from a VGA controller, but this is none of these: it is found again before it is opened.
  insmod "$LAB_HOST_USE" address=$(($(bar_of "$VGA"))) bytes=$((1 << 20)) name=efifb
  before=$(host_state)
  "$GPUVM" run --dry-run "$WORK/vga.toml" >"$WORK/dry.log" || true
  expect "of a VGA controller's a dry run warns" grep -q 'advice:.*efifb' "$WORK/dry.log"
  refused "a frame buffer that vfio-pci has left" vga 'BAR 0 (efifb' --verbose
  expect_not "a frame buffer that vfio-pci has left: nothing was reset" grep -q 'Reset at start' "$WORK/vga.log"
  rmmod host_use
}

test_driver_that_holds() {
  local began=$SECONDS device=/sys/bus/pci/devices/$DISPLAY_CONTROLLER got=0
  insmod "$LAB_HOST_USE"
  echo host_use >"$device/driver_override"
  echo "$DISPLAY_CONTROLLER" >/sys/bus/pci/drivers_probe
  expect "the stubborn driver has the card" test "$(driver_of "$DISPLAY_CONTROLLER")" = host_use
  before=$(host_state)
  echo 1 >/sys/module/host_use/parameters/hold
  "$GPUVM" run "$WORK/display.toml" >"$WORK/held.log" 2>&1 </dev/null || got=$?
  cat "$WORK/held.log"
  expect "a driver that does not let go: status $HOST" test "$got" = "$HOST"
  expect "a driver that does not let go: after 60 s" test $((SECONDS - began)) -ge 60 -a $((SECONDS - began)) -lt 120
  expect "a driver that does not let go: the message" grep -q 'driver/unbind has slept for 60 s in the driver host_use' "$WORK/held.log"
  expect "a driver that does not let go: its record stays" test -s "/run/gpuvm/$DISPLAY_CONTROLLER.binding"
  echo 0 >/sys/module/host_use/parameters/hold
  # The write that waited now ends: the driver takes its leave.
  until [[ ! -e $device/driver ]]; do pause 0.05; done
  expect "once it lets go, gpuvm unbind works" "$GPUVM" unbind "$DISPLAY_CONTROLLER"
  expect "and everything is as before" state_is "$before"
}

test_frame_buffers
test_driver_that_holds
finish
