#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Cards that come into a guest whose monitor is confined and go again, by its owner's process: only those of machine.attachable; a monitor
# that is killed with a card, or while one comes. LAB_HOTPLUG_CYCLES=50 does each fifty times.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
export LAB_HOTPLUG_CYCLES=${LAB_HOTPLUG_CYCLES:-2}
inside gpu,usb,nvme hotplug_owner.sh --timeout $((900 + LAB_HOTPLUG_CYCLES * 120))
