#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Stock nouveau and amdgpu of Debian's kernels as judges of how a guest gets its GPUs' VBIOS: cards of real ids, half of them of the
# lab's VFIO host, half of vfio-user servers; each image has a version of its own, which the driver prints with where it found it.
# JUDGES_RUNS: which kernels in which boot modes, for instance 6.1:efi-handover, 6.12:uefi or sid:linux (Debian sid's).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

export LAB_FAKE_GPU=${LAB_FAKE_GPU:-$(dirname "$LAB_GPUVM")/tests/fake_gpu/fake_gpu}
[[ -x $LAB_FAKE_GPU ]] || { echo "$LAB_FAKE_GPU is missing; build the target fake_gpu, for instance with the preset ci" >&2; exit 1; }
fresh_out
for run in ${JUDGES_RUNS:-6.1:linux 6.12:linux 6.12:efi-handover}; do
  optional --print-kernel "${run%:*}" || skip "$OPTIONAL"
  printf '%s %s %s %s\n' "${run%:*}" "${run#*:}" "$OPTIONAL" "$(image_for "${run%:*}" nouveau,amdgpu)" >>"$OUT/runs"
done
for n in 1 2 3 4 5 6; do
  tests/lab/rom/make_vbios.sh 10de 1c82 "86.07.00.00.0$n" "$OUT/nvidia-$n.rom"
done
for n in 1 2 3 4 5; do
  tests/lab/rom/make_vbios.sh 1002 67df "113-CARD-$n" "$OUT/amd-$n.rom"
done
# Its BAR 5 is where AMD has registers.
export LAB_QEMU_EXTRA='-device ich9-ahci,bus=rp.edu'
inside gpu,gpu2 judges.sh
