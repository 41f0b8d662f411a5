#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that owns a GPU, its audio function and a USB controller: drivers, the picture on the physical screen, the stick.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb gpu_usb.sh
