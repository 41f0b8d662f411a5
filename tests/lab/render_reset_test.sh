#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A GPU that renders, behind a port of which a hot reset fails while a function reset helps: the first reset finds that out, and none
# after it, at work or not, tries the hot reset again. Killed with kill -9 while its guest renders, it works at the next start.
# Environment: LAB_KILLS (default 2); LAB_RENDER_DEVICE (default vgl=deaf): vgl is a port of which hot resets help.
set -euo pipefail
. "$(dirname "$0")/lib/gpu_work.sh"
. "$(dirname "$0")/lib/outside.sh"

fresh_out
prepare_gpu_work
export LAB_KILLS=${LAB_KILLS:-2} LAB_RENDER_DEVICE=${LAB_RENDER_DEVICE:-vgl=deaf}
mkdir "$OUT/results"
inside "$LAB_RENDER_DEVICE" render_reset.sh
check_results "$LAB_KILLS"
