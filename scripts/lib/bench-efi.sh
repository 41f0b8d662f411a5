#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench efi that runs in the lab host: RUNS times gpuvm to init by both boot modes, in turn, and to the
# kernel's entry by both and by QEMU with OVMF. Leaves $LAB_OUT/NAME.N with lines METRIC=VALUE.
# Usage: bench-efi.sh RUNS MEMORY GPUVM KERNEL PROBE INITRD BDF…
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
runs=$1 memory=$2 gpuvm=$3 kernel=$4 probe=$5 initrd=$6
shift 6
functions=("$@")

to_init() {
  measure "$1-init" "$2" "$here/measure-gpuvm.sh" --gpuvm "$gpuvm" --kernel "$kernel" --initrd "$initrd" --memory "$memory" \
    --mode "$3" --timeout 300 "${functions[@]}"
}

to_entry() {
  measure "$1-entry" "$2" "$here/measure-gpuvm.sh" --gpuvm "$gpuvm" --kernel "$probe" --initrd "$initrd" --memory "$memory" \
    --mode "$3" --until KERNEL-ENTERED --timeout 300 "${functions[@]}"
}

ovmf_to_entry() {
  measure ovmf-entry "$1" "$here/peer-qemu.sh" --kernel "$probe" --initrd "$initrd" --firmware /usr/share/ovmf/OVMF.fd \
    --memory "$memory" --until KERNEL-ENTERED --timeout 400 "${functions[@]}"
}

touch_memory
initrd=$(local_copy "$initrd")
for ((run = 0; run <= runs; run++)); do
  # Each goes first in turn.
  if ((run % 2)); then
    to_init linux "$run" linux
    to_init efi "$run" efi-handover
  else
    to_init efi "$run" efi-handover
    to_init linux "$run" linux
  fi
  to_entry linux "$run" linux
  to_entry efi "$run" efi-handover
  ovmf_to_entry "$run"
done
exit "$failed"
