#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# boot.decompress = "host": kernels with each kind of payload and of relocations start where gpuvm has put them, at other addresses
# each time, also after a reboot, and with "nokaslr" where they were linked.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
for kernel in 6.1 6.12 sid; do # xz and three lists of relocations, zstd and three, zstd and two
  if [[ $kernel == sid ]] && ! optional --print-kernel sid; then
    printf 'not tried: %s\n' "$OPTIONAL"
    continue
  fi
  use_kernel "$kernel"
  printf '%s %s %s\n' "$kernel" "$LAB_GUEST_KERNEL" "$LAB_PLAIN_INITRD" >>"$OUT/kernels"
done
use_kernel 6.12
inside gpu decompress.sh
