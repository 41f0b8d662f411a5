#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

GPU=0000:01:00.0
SIZE=$((16 << 20))
SECRET=tenant-one-was-here
export GUEST_INITRD=$LAB_PLAIN_INITRD
modprobe vfio-pci
before=$(host_state)

# make_tenant NAME SCRIPT [KEY…]: a guest that has the GPU, without a driver for it, as $gpu in its script.
make_tenant() {
  local name=$1 script=$2
  shift 2
  mkdir -p "$WORK/initrd-$name"
  cp "$LAB_OUT/bar_write" "$LAB_OUT/bar_find" "$WORK/initrd-$name/"
  make_guest "$name" "gpu=\$(find_function 1234:1111); echo 1 >\$gpu/enable
$script" <<END
[[pci]]
host = "$GPU"
$(printf '%s\n' "$@")
END
}
# At the beginning, in the middle and at the end; bar_write says what it has read back.
leave="for offset in 0x1000 0x800000 $((SIZE - 64)); do /bar_write \$gpu/resource0 \$offset $SECRET || echo NOT-WRITTEN; done"
look="/bar_find \$gpu/resource0 $SECRET"

make_tenant careless "$leave"
make_tenant looking "$look"
make_tenant careful "$leave; $look" 'scrub = "vram"'
make_tenant killed "$leave; echo WRITTEN; read -r word" 'scrub = "vram"' 'scrub_bars = [0]' 'scrub_limit = "1min"'
make_tenant registers "$leave" 'scrub = "vram"' 'scrub_bars = [2]'

# finds TIMES: what the next guest, which knows nothing of a scrub, finds.
finds() {
  run_guest looking
  expect "the next guest: status 0" test "$guest_status" = 0
  expect "the next guest finds it $1 times" guest_said "^FOUND $1 in $SIZE bytes"
}

# 1. Without the key: what shows that the test can fail.
run_guest careless
expect "careless: status 0" test "$guest_status" = 0
expect_not "careless: all is written" guest_said '^NOT-WRITTEN'
expect_not "careless: nothing is overwritten" logged 'scrub of'
finds 3

# 2. With it.
run_guest careful --events "$WORK/careful.events"
expect "careful: status 0" test "$guest_status" = 0
expect "careful: its own guest found it" guest_said "^FOUND 3 in $SIZE bytes"
expect "careful: the log says what was covered" logged "scrub of $GPU done in .*, $SIZE of $SIZE bytes of BAR 0 overwritten with zeroes, .* samples read zero"
# An owner's process overwrites it when the guest's events are over.
grep -q '"state":"entered","text":"[^;]*owner (' "$WORK/careful.events" || expect "careful: so does the certificate" grep -q "\"reason\":\"stop\".*\"scrub\":\"scrub of $GPU done .*$SIZE of $SIZE bytes of BAR 0" "$WORK/careful.events"
expect_not "careful: nothing is overwritten at the start" grep -q '"reason":"start".*"scrub"' "$WORK/careful.events"
finds 0

# 3. gpuvm is killed: what is owed is done by whoever has the card next, here gpuvm reset.
start_guest killed
wait_console '^WRITTEN' 120
kill_gpuvm "$guest"
wait "$guest" 2>/dev/null || true
expect "killed: what is owed is on disk" grep -qx 'scrub=vram 60 0' "/run/gpuvm/$GPU.state"
status=0
"$GPUVM" reset $GPU >"$WORK/said" 2>&1 || status=$?
cat "$WORK/said"
expect "gpuvm reset: status 0" test "$status" = 0
expect "gpuvm reset: it has overwritten the memory" grep -q "$SIZE of $SIZE bytes of BAR 0 overwritten with zeroes" "$WORK/said"
expect "gpuvm reset: nothing is owed any more" test ! -e "/run/gpuvm/$GPU.state"
finds 0

# 4. Once more, and the next guest's own start does it.
start_guest killed
wait_console '^WRITTEN' 120
kill_gpuvm "$guest"
wait "$guest" 2>/dev/null || true
finds 0
expect "the next guest's start has overwritten it first" logged "scrub of $GPU done in"

# 5. Registers are never overwritten: no guest runs that wants it.
run_guest registers
expect "registers: status 78" test "$guest_status" = 78
expect "registers: the reason" logged "BAR 2 of $GPU is not prefetchable: it holds registers, which are never overwritten"
expect "registers: nothing is marked" test ! -e "/run/gpuvm/$GPU.state"
expect "nothing is left" state_is "$before"
finish
