#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Debian's kernels 6.1 and 6.12 drive the devices, 6.12-cloud (which has no drivers for them) sees them, and an ELF vmlinux
# boots like the bzImage that it came in.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
for kernel in 6.1 6.12-cloud 6.12; do
  use_kernel "$kernel"
  printf '%s %s %s\n' "$kernel" "$LAB_GUEST_KERNEL" "$LAB_GUEST_INITRD" >>"$OUT/kernels"
done
printf 'vmlinux %s %s\n' "${LAB_GUEST_KERNEL%/*}/vmlinux" "$LAB_GUEST_INITRD" >>"$OUT/kernels"
inside gpu,usb kernels.sh
