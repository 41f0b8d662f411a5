#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Cards that come into a running guest and go again: GPU with audio, USB controller, NVMe disk and render GPU. LAB_HOTPLUG_CYCLES=50
# does each fifty times.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
export LAB_HOTPLUG_CYCLES=${LAB_HOTPLUG_CYCLES:-3}
inside gpu,usb,vgpu,nvme hotplug.sh --timeout $((900 + LAB_HOTPLUG_CYCLES * 120))
