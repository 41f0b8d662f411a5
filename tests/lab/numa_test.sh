#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# NUMA nodes of a guest and of its memory on the host, pinned vCPUs, and a device's memory that the guest brings online as a node
# of its own. The lab host has two nodes here.
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
export LAB_QEMU_EXTRA="-object memory-backend-ram,id=m0,size=3G -object memory-backend-ram,id=m1,size=3G \
-numa node,nodeid=0,memdev=m0,cpus=0 -numa node,nodeid=1,memdev=m1,cpus=1 -numa dist,src=0,dst=1,val=21"
inside gpu,bar=1G numa.sh --cpus 2
