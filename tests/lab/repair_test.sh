#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who owns a device, and whether it is fit for the next owner: locks, dirty marks, repair, and what a stop leaves behind.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb,nvme repair.sh --timeout 600
