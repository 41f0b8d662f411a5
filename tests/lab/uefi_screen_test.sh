#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# boot.mode = "uefi" and the passed-through GPU's own screen: the firmware's logo is on it before the kernel runs, drawn by the
# EFI driver in the GPU's option ROM, its own or a file; with rom = "off" nothing is. The lab's second GPU gets a ROM with a driver
# of ours, and the guest another device id, because OVMF brings drivers for QEMU's GPUs along, which would need no ROM.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
use_kernel 6.12
LAB_PROBE=$OUT/probe
export LAB_PROBE
scripts/lib/probe-kernel.sh "$LAB_GUEST_KERNEL" "$LAB_PROBE"
tests/lab/rom/build_rom.sh 1234 4711 1111 "$OUT/gpu.rom"
export LAB_QEMU_EXTRA="-global secondary-vga.romfile=$OUT/gpu.rom"
inside gpu,usb,gpu2 uefi_screen.sh
