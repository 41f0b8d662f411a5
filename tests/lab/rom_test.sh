#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Option ROMs and ids as a guest's kernel sees them: a GPU's own ROM, a file that has to be corrected, a function without, two GPUs
# behind two ports, and a processor that hides KVM.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,gpu2 rom.sh
