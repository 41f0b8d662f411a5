#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# NUMA nodes of a guest and of its memory on the host, and pinned vCPUs. The lab host has two nodes here, with a CPU each.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
export LAB_QEMU_EXTRA="-object memory-backend-ram,id=m0,size=3G -object memory-backend-ram,id=m1,size=3G \
-numa node,nodeid=0,memdev=m0,cpus=0 -numa node,nodeid=1,memdev=m1,cpus=1 -numa dist,src=0,dst=1,val=21"
inside gpu,bar=1G numa.sh --cpus 2
