#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The guest's serial console as a pseudo-terminal, a file and a socket at once, and on a terminal with its escape key.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside none console.sh
