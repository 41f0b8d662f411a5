#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest with GPU and USB controller reboots three times: drivers bind each time, and gpuvm does not grow.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb reboot.sh
