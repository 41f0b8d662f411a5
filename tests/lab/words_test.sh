#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a guest says of its own end: an exit status by the exit port, a panic by pvpanic; and that neither is there unasked.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
LAB_PANIC_INITRD=$(image_for 6.12 pvpanic,pvpanic_mmio)
export LAB_PANIC_INITRD
fresh_out
inside none words.sh
