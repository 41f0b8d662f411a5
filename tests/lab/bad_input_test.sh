#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a user can get wrong, and hosts that are not able: one clear error each, its exit status, and the host as before.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb bad_input.sh --memory 4G
