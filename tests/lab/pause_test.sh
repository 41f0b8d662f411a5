#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest that writes its frame buffer and its disk is paused and resumed 100 times: it rests while it is paused, nothing that it
# writes is lost, its clock is right afterwards; a paused guest can be ended.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb pause.sh
