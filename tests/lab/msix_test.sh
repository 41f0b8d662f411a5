#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests that see MSI-X tables in other BARs than the hardware has them in: an NVMe disk (a new BAR, then a doubled one), a USB
# controller and a render GPU ("auto", which moves the one and leaves the other).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside vgpu,nvme,usb msix.sh
