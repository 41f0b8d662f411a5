#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A device's memory, a large BAR, as coherent memory of the guest, which it brings online as a node of its own.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
LAB_DAX_INITRD=$(image_for 6.12 dax_hmem,battery,ac)
export LAB_DAX_INITRD
fresh_out
# These two the guest loads when it wants to: a program that finds them would bring the memory online at once.
modules=$(scripts/lab --print-modules 6.12)
for module in device_dax kmem; do
  xz -dc "$modules/kernel/drivers/dax/$module.ko.xz" >"$OUT/$module.ko"
done
cc -O1 -static -o "$OUT/touch_node" tests/lab/guest/touch_node.c
inside gpu,bar=1G coherent_memory.sh
