#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# boot.mode = "efi-handover" with passed-through devices: EFI in the guest, variables that last, KASLR, the GPU's ROM in both
# modes, reboot and power off through EFI. EFI_KERNELS lists the kernels (all three by default).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
for kernel in ${EFI_KERNELS:-6.12 6.1 6.12-cloud}; do
  use_kernel "$kernel"
  printf '%s %s %s %s\n' "$kernel" "$LAB_GUEST_KERNEL" "$LAB_GUEST_INITRD" "$(image_for "$kernel" efivarfs)" >>"$OUT/kernels"
done
inside gpu,usb efi.sh
