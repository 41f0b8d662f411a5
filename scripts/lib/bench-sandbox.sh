#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck source-path=SCRIPTDIR
# The part of scripts/bench sandbox that runs in the lab host: RUNS times gpuvm to init without a sandbox, with one, and with an
# owner's process beside it, in turn. Leaves $LAB_OUT/NAME.N with lines METRIC=VALUE.
# Usage: bench-sandbox.sh RUNS MEMORY GPUVM KERNEL INITRD BDF…
set -euo pipefail

here=$(dirname "$0")
. "$here/bench-measure.sh"
runs=$1 memory=$2 gpuvm=$3 kernel=$4 initrd=$5
shift 5
functions=("$@")

# to_init NAME RUN SETTING…
to_init() {
  local name=$1 run=$2 setting settings=()
  shift 2
  for setting in "$@"; do settings+=(--set "sandbox.$setting"); done
  measure "$name" "$run" "$here/measure-gpuvm.sh" --gpuvm "$gpuvm" --kernel "$kernel" --initrd "$initrd" --memory "$memory" \
    "${settings[@]}" "${functions[@]}"
}

touch_memory
initrd=$(local_copy "$initrd")
for ((run = 0; run <= runs; run++)); do
  # Each goes first in turn.
  for ((turn = 0; turn < 3; turn++)); do
    case $(((run + turn) % 3)) in
      0) to_init off "$run" mode=off ;;
      1) to_init on "$run" mode=on ;;
      2) to_init owner "$run" mode=on owner=process ;;
    esac
  done
done
exit "$failed"
