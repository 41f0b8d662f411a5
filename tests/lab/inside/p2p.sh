#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
. "$(dirname "$0")/../lib/inside.sh"

export GUEST_INITRD=$LAB_PLAIN_INITRD
before=$(host_state)

mkdir -p "$WORK/initrd-main"
cp "$LAB_OUT/peer_dma" "$WORK/initrd-main/"
make_guest main '
memory=$(find_function 1af4:1110) edu=$(find_function 1234:11e8) gpu=$(find_function 1234:1111)
for device in $memory $edu $gpu; do echo 1 >$device/enable; done
# Command: bus master and memory.
printf "\006" | dd of=$edu/config bs=1 seek=4 conv=notrunc 2>/dev/null
echo "TO-GPU $(/peer_dma $edu:0 $memory:2 $gpu:0 0x100000 from-memory-to-frame-buffer)"
echo "TO-MEMORY $(/peer_dma $edu:0 $gpu:0 $memory:2 0x200000 from-frame-buffer-to-memory)"
show_dmesg
' <<'END'
[[pci]]
host = "0000:05:00.0"
p2p = true
[[pci]]
host = "0000:06:00.0"
port = 1
[[pci]]
host = "0000:07:00.0"
port = 2
p2p = true
END
run_guest main
expect "power off ends gpuvm with status 0" test "$guest_status" = 0
expect "a device read another's memory and wrote the GPU's frame buffer" guest_said '^TO-GPU from-memory-to-frame-buffer'
expect "and the other way round" guest_said '^TO-MEMORY from-frame-buffer-to-memory'
expect "the bytes are in the memory outside" \
  test "$(tail -c +$((0x200000 + 1)) "$LAB_OUT/bar.mem" | head -c 27)" = from-frame-buffer-to-memory
expect "gpuvm complains of nothing" not grep -i warning "$LOG"
check_dmesg

run_guest main --set pci.0.p2p=false --set pci.2.p2p=false
expect "without p2p the guest ends well too" test "$guest_status" = 0
expect "then the IOMMU keeps the devices from each other" guest_said '^TO-GPU *.$'
expect_not "nothing arrives" guest_said from-memory-to-frame-buffer
expect "nothing is left" state_is "$before"
finish
