#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Host drivers come back however a run ends: power off, signals, kill -9.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside gpu,usb binding.sh
