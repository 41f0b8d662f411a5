#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Guests with 1, 2, 4, 12 and 255 vCPUs and 512 MiB, 1 GiB and 5 GiB of memory, huge pages, and how long a power off takes.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside usb sizes.sh --memory 9G
