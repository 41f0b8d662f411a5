#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# boot.mode = "uefi" with Debian's OVMF and passed-through devices: from the reset vector to the guest's init with the kernel by
# fw_cfg, variables that last, kills while the firmware writes them (LAB_UEFI_KILLS, an even number; default 6), a large BAR that
# the firmware places, bad files and disks.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
use_kernel 6.12
LAB_EFI_INITRD=$(image_for 6.12 efivarfs)
LAB_PROBE=$OUT/probe
export LAB_EFI_INITRD LAB_PROBE
scripts/lib/probe-kernel.sh "$LAB_GUEST_KERNEL" "$LAB_PROBE"
inside "${UEFI_DEVICES:-gpu,usb,bar=16G}" uefi.sh --timeout $((1500 + 20 * ${LAB_UEFI_KILLS:-0}))
