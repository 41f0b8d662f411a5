#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# boot.mode = "efi-handover": EFI in the guest, variables that last, KASLR, the GPU's ROM in both modes, reboot and power off
# through EFI. EFI_KERNELS lists the kernels (all three by default).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

for kernel in ${EFI_KERNELS:-6.12 6.1 6.12-cloud}; do
  echo "== $kernel"
  use_kernel "$kernel"
  fresh_out "$kernel"
  inside gpu,usb efi.sh --timeout 500
done
