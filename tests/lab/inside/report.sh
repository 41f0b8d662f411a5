#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GPU=0000:01:00.0 AUDIO=0000:01:00.1 USB=0000:02:00.0 VGPU=0000:03:00.0 NVME=0000:04:00.0
CYCLES=3

# ARGUMENT…: its exit status in $status, what it says in $WORK/said.
report() {
  status=0
  "$GPUVM" report "$@" >"$WORK/said" 2>"$WORK/report.log" || status=$?
  cat "$WORK/said" "$WORK/report.log"
}
said() { grep -qF -- "$1" "$WORK/said"; }
# value FILE EXPRESSION: of Perl, over the document.
value() { perl -MJSON::PP -e 'local $/; open F, shift; $_ = decode_json(<F>); print eval(shift) // "nothing"' "$1" "$2"; }
# The kernel's own dump, as the file has it: lines of zeros left out.
dump_of() { lspci -s "$1" -xxxx | sed -nE 's/^([0-9a-f]+: .*[^ ]) *$/\1/p' | grep -vE ': (00 ){15}00$'; }
config_of() { value "$1" "join \"\\n\", @{\$_->{functions}[$2]{config}{lines}}"; }

hostname secretname
export USER=secretuser
load_host_drivers
modprobe nvme
await_disk() {
  local tries
  for ((tries = 0; tries < 100; tries++)); do
    [[ ! -b /dev/nvme0n1 ]] || return 0
    pause 0.1
  done
  return 1
}
await_disk
before=$(host_state)

# Without resets nothing is touched.
report $GPU "$WORK/gpu.json"
expect "status 0" test "$status" = 0
expect "the host is as before" state_is "$before"
expect "it says where the file is, and to look at it" said "look through it before you send it"
expect "both functions of the slot" test "$(value "$WORK/gpu.json" 'join " ", map { $_->{address} } @{$_->{functions}}')" = "$GPU $AUDIO"
expect "configuration space is the kernel's" test "$(config_of "$WORK/gpu.json" 0)" = "$(dump_of $GPU)"
expect "the driver" test "$(value "$WORK/gpu.json" '$_->{functions}[0]{driver}')" = "$(driver_of $GPU)"
expect "the kernel" test "$(value "$WORK/gpu.json" '$_->{host}{kernel}')" = "$(uname -r)"
expect "VFIO was not asked, and the file says so" grep -q 'what VFIO says of the functions' "$WORK/gpu.json"
expect_not "no name of the host or the user" grep -E 'secretname|secretuser' "$WORK/gpu.json" "$WORK/said"

cp "$WORK/gpu.json" "$WORK/copy.json"
report $GPU "$WORK/gpu.json"
expect "a file that is there: status 78" test "$status" = 78
expect "and it stays as it was" cmp "$WORK/gpu.json" "$WORK/copy.json"
report --cycles 1 $GPU /nonexistent/gpu.json
expect "a place where nothing can be written: status 78" test "$status" = 78
expect "known before a device is touched" state_is "$before"

# With resets. The reports stay in $LAB_OUT, for tests/fixtures/reports.
for pair in gpu=$GPU usb=$USB vgpu=$VGPU nvme=$NVME; do
  name=lab-${pair%%=*} file=$LAB_OUT/lab-${pair%%=*}.json
  rm -f "$file"
  report --cycles $CYCLES "${pair#*=}" "$file"
  expect "$name: status 0" test "$status" = 0
  expect "$name: verdict" said "Verdict: fit: all resets of $CYCLES cycles were verified"
  expect "$name: every cycle is there" test "$(value "$file" 'scalar @{$_->{trial}{cycles}}')" = $CYCLES
  expect "$name: VFIO tells of the configuration space" \
    test "$(value "$file" '(grep { $_->{name} eq "config" } @{$_->{functions}[0]{vfio}{regions}})[0]{size}')" = \
      "$(value "$file" '$_->{functions}[0]{vfio}{config}{size}')"
  [[ $name != lab-nvme ]] || await_disk
  expect "$name: the host is as before" state_is "$before"
  "$GPUVM" report --show "$file" >"$WORK/shown"
  expect "$name: shown from the file as when it was made" diff <(sed '/^$/,$!d; /^The report is in/,$d' "$WORK/said" | sed '$d') \
    <(sed '/^$/,$!d' "$WORK/shown")
  "$GPUVM" report --show "$file" --lspci guest >"$WORK/dump"
  expect "$name: lspci decodes what a guest would see" sh -c "lspci -F '$WORK/dump' -vv >'$WORK/decoded' && grep -q 'Capabilities: \[' '$WORK/decoded'"
  expect_not "$name: no name of the host or the user" grep -E 'secretname|secretuser' "$file"
done
expect "the NVMe disk's driver is back and finds it" await_disk

finish
