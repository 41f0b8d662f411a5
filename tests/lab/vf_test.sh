#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Virtual functions (SR-IOV) of a network card: ids, link, drivers that come back, tokens.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
export LAB_QEMU_EXTRA='-device igb,bus=rp.edu,addr=0.0'
inside none vf.sh --timeout 600
