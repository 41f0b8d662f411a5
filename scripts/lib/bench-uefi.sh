#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench uefi that runs in the lab host: RUNS times gpuvm and QEMU with OVMF to the kernel's entry, in turn, on
# fresh variables and on those of the run before; gpuvm with the function LARGE beside the others, too. Leaves $LAB_OUT/NAME.N
# with lines METRIC=VALUE. And to the guest's init, with the KERNEL itself. QEMU is what of LAB_BENCH_PEERS is one with q35.
# Usage: bench-uefi.sh RUNS MEMORY GPUVM PROBE INITRD LARGE KERNEL BDF…
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
runs=$1 memory=$2 gpuvm=$3 probe=$4 initrd=$5 large=$6 kernel=$7
shift 7
functions=("$@")
code=/usr/share/OVMF/OVMF_CODE_4M.fd
template=/usr/share/OVMF/OVMF_VARS_4M.fd
vars=$(mktemp -d)

# ovmf MONITOR NAME VARS BDF…
ovmf() {
  local monitor=$1 name=$2 store=$3
  local -a command=("$here/peer-qemu.sh")
  shift 3
  [[ $monitor != newest ]] || command+=(--program "$LAB_BENCH_QEMU")
  [[ $monitor != gpuvm ]] || command=("$here/measure-gpuvm.sh" --gpuvm "$gpuvm" --mode uefi)
  measure "$monitor-$name" "$run" "${command[@]}" --kernel "$started_kernel" --initrd "$initrd" --memory "$memory" --firmware "$code" \
    --vars "$vars/$store" --until "$until" --timeout 400 "$@"
}

one_monitor() {
  started_kernel=$probe until=KERNEL-ENTERED
  cp "$template" "$vars/$1"
  ovmf "$1" first "$1" "${functions[@]}"
  ovmf "$1" later "$1" "${functions[@]}"
  started_kernel=$kernel until=GUEST-INIT-REACHED
  ovmf "$1" init "$1" "${functions[@]}"
}

cp "$template" "$vars/bar"
choose_qemus
touch_memory
probe=$(local_copy "$probe")
initrd=$(local_copy "$initrd")
for ((run = 0; run <= runs; run++)); do
  # Each goes first in turn.
  if ((run % 2)); then
    one_monitor gpuvm
    for peer in "${peers[@]}"; do one_monitor "$peer"; done
  else
    for peer in "${peers[@]}"; do one_monitor "$peer"; done
    one_monitor gpuvm
  fi
  started_kernel=$probe until=KERNEL-ENTERED
  ovmf gpuvm bar-later bar "${functions[@]}" "$large"
done
rm -r "$vars"
exit "$failed"
