#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest resets its devices: the bus behind a root port by setpci and by the kernel, a function by FLR. All work again after.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb,nvme guest_reset.sh --timeout 600
