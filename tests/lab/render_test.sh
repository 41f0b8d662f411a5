#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Real work on a passed-through GPU: a guest computes and draws on its render node by OpenGL, again after each reboot, which comes
# while it draws; its numbers are exact, its pictures those that the same program makes in software outside.
# Environment: LAB_REBOOTS (default 2).
set -euo pipefail
. "$(dirname "$0")/lib/gpu_work.sh"
. "$(dirname "$0")/lib/outside.sh"

fresh_out
prepare_gpu_work
export LAB_REBOOTS=${LAB_REBOOTS:-2}
mkdir "$OUT/results"
inside vgl render.sh
check_results $((LAB_REBOOTS + 1))
