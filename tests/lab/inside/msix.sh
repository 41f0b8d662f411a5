#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

# Hardware: the NVMe disk's table is in BAR 0 at 0x2000, the USB controller's in BAR 0 at 0x3000, each in 16 KiB of registers; the
# render GPU's is alone in BAR 1.
NVME=0000:04:00.0 USB=0000:02:00.0 GPU=0000:03:00.0

# show_msix: of each function "MSIX vendor:device" with lspci's lines about BARs and MSI-X.
# shellcheck disable=SC2016 # for the guest's shell
SCRIPT='
show_msix() {
  for id in 1b36:0010 1033:0194 1af4:1050; do
    lspci -vv -d $id | grep -E "Region|MSI-X|Vector table|PBA" | sed "s/^[[:space:]]*/MSIX $id /"
  done
}
# The interrupts, on all processors, of the lines that have this text.
count_interrupts() {
  awk -v name="$1" "index(\$0, name) {for (i = 2; \$i ~ /^[0-9]+\$/; i++) n += \$i} END {print n + 0}" /proc/interrupts
}

until_true 20 test -b /dev/nvme0n1
show_drivers
show_msix
before=$(count_interrupts nvme0q)
dd if=/dev/urandom of=/tmp/data bs=1M count=16 2>/dev/null
echo "DATA-MD5 $(md5sum </tmp/data | cut -d" " -f1)"
dd if=/tmp/data of=/dev/nvme0n1 bs=1M oflag=direct 2>/dev/null && sync && echo NVME-WRITTEN
dd if=/dev/nvme0n1 bs=1M count=16 iflag=direct 2>/dev/null | cmp - /tmp/data && echo NVME-EQUAL
echo "NVME-INTERRUPTS $(($(count_interrupts nvme0q) - before))"
if [ -n "$(find_function 1033:0194)" ]; then
  show_stick
  echo "USB-INTERRUPTS $(count_interrupts xhci_hcd)"
fi
grep -E "nvme|xhci|virtio" /proc/interrupts
show_dmesg
'

# said_more NAME LEAST: the guest printed NAME and a number that is at least that.
said_more() {
  local number
  number=$(sed -n "s/^$1 \([0-9]*\).*/\1/p" "$CONSOLE")
  echo "$1: ${number:-none}"
  ((${number:-0} >= $2))
}

# inspected TEXT [TIMES]: the tree of `gpuvm inspect` at the end of the run has the text (a basic regular expression) so often.
inspected() { test "$(grep -o -- "$1" "$WORK/$name.inspect.json" | wc -l)" = "${2:-1}"; }

# What every guest of this test must do.
check_guest() {
  name=$1
  run_guest "$name"
  local md5
  expect "$name: power off ends gpuvm with status 0" test "$guest_status" = 0
  expect "$name: the NVMe disk has its driver" guest_driver 1b36:0010 nvme
  expect "$name: 16 MiB read from the NVMe disk are what was written" guest_said '^NVME-EQUAL'
  md5=$(sed -n 's/^DATA-MD5 \([0-9a-f]*\).*/\1/p' "$CONSOLE")
  expect "$name: they are on the disk outside" test "$(head -c $((16 << 20)) "$LAB_OUT/nvme.img" | md5sum | cut -d' ' -f1)" = "$md5"
  expect "$name: its interrupts came" said_more NVME-INTERRUPTS 16
  expect "$name: MSI-X is on" guest_said '^MSIX 1b36:0010 .*MSI-X: Enable+'
  expect "$name: the hardware's table is in BAR 0" inspected '"hardware_table": *"BAR 0 at 0x2000"'
  check_dmesg
}

test_new_bars() {
  check_guest main
  expect "the guest sees the NVMe table in BAR 4" guest_said '^MSIX 1b36:0010 Vector table: BAR=4 offset=00000000'
  expect "and the pending bits" guest_said '^MSIX 1b36:0010 PBA: BAR=4 offset='
  expect "BAR 4 is there" guest_said '^MSIX 1b36:0010 Region 4: Memory at .*(32-bit, non-prefetchable)'
  expect "the USB controller has its driver" guest_driver 1033:0194 xhci_hcd
  expect "the guest sees the USB controller's table in BAR 2" guest_said '^MSIX 1033:0194 Vector table: BAR=2 offset=00000000'
  expect "the USB stick's bytes are right" guest_said "^STICK-MD5 $(head -c 1048576 "$LAB_OUT/usb.img" | md5sum | cut -d' ' -f1)"
  expect "the USB controller's interrupts came" said_more USB-INTERRUPTS 16
  expect "the render GPU's table stays in BAR 1" guest_said '^MSIX 1af4:1050 Vector table: BAR=1 offset=00000000'
  expect "the log says why" grep -q "$GPU: MSI-X table not relocated: nothing else is in the table's pages" "$LOG"
  expect "the log says what moved" grep -q "$USB: MSI-X table relocated: other registers may share" "$LOG"
  # 16 KiB each, of which 12 KiB were direct before.
  expect "both devices' registers are without exits" \
    inspected '"bar0": *{"kind": *"memory", *"size": *"0x4000", *"without_exits": *"0x4000"' 2
  expect "and nothing of them was trapped" inspected '"bar0": *{[^{}]*"without_exits": *"0x4000"[^{}]*"trapped_accesses": *0[,}]' 2
}

test_doubled_bar() {
  check_guest doubled
  expect "the guest sees the NVMe table behind BAR 0" guest_said '^MSIX 1b36:0010 Vector table: BAR=0 offset=00004000'
  expect "BAR 0 is twice as large" guest_said '^MSIX 1b36:0010 Region 0: Memory at .*\[size=32K\]'
  expect "its registers are without exits" \
    inspected '"bar0": *{"kind": *"memory", *"size": *"0x8000", *"without_exits": *"0x4000"'
}

test_inspect() {
  "$GPUVM" inspect "$WORK/main.toml" >"$WORK/inspect.log" 2>&1 || true
  expect "gpuvm inspect shows where the table will be" grep -q 'guest_table: BAR 4 at 0x0' "$WORK/inspect.log"
  expect "and what that changes" grep -q 'effect: 0x1000 bytes of BAR 0 at 0x2000 without exits' "$WORK/inspect.log"
  expect "and why a table stays" grep -q "reason: nothing else is in the table's pages" "$WORK/inspect.log"
}

before=$(host_state)
make_guest main "$SCRIPT" <<END
[[pci]]
host = "$NVME"
msix_relocation = "bar4"
[[pci]]
host = "$USB"
port = 1
msix_relocation = "auto"
[[pci]]
host = "$GPU"
port = 2
msix_relocation = "auto"
END
make_guest doubled "$SCRIPT" <<END
[[pci]]
host = "$NVME"
msix_relocation = "bar0"
END
test_inspect
test_new_bars
test_doubled_bar
expect "nothing is left" state_is "$before"
finish
