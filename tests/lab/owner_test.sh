#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# [sandbox] owner = "process": a monitor that is killed, or crashes, at random moments; its owner brings the devices back, verified, and
# gives them to their drivers, with nothing left; two guests at once; signals, a reboot, a job, and an owner that is killed itself.
# Environment: OWNER_KILLS, OWNER_CRASHES: how often, default 2 each (30 before a release).
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
export LAB_OWNER_KILLS=${OWNER_KILLS:-2} LAB_OWNER_CRASHES=${OWNER_CRASHES:-2} LAB_OWNER_SEED=${OWNER_SEED:-$RANDOM}
inside gpu,usb,nvme owner.sh --timeout $((900 + 60 * (LAB_OWNER_KILLS + LAB_OWNER_CRASHES)))
