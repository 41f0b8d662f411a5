#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Threads of gpuvm that a guest has taken over (tests/hostile): each role tries files, sockets, devices, processes, namespaces,
# executable memory and control calls. All is refused, the guest ends with one clear line, and its device comes back verified. Without
# the sandbox the same works, which proves the test.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

export LAB_HOSTILE_GPUVM=${LAB_HOSTILE_GPUVM:-$(dirname "$LAB_GPUVM")/tests/hostile/hostile_gpuvm}
[[ -x $LAB_HOSTILE_GPUVM ]] || LAB_HOSTILE_GPUVM=$REPO/build/ci/tests/hostile/hostile_gpuvm
[[ -x $LAB_HOSTILE_GPUVM ]] || { echo "$LAB_HOSTILE_GPUVM is missing; build the target hostile_gpuvm, for instance with the preset ci" >&2; exit 1; }
use_kernel 6.12
fresh_out
inside nvme hostile.sh
