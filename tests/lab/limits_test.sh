#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a guest may cost its host: reboots in a loop, output files that are links, more open files than there may be.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside none limits.sh
