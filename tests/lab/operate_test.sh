#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Two guests at once with different devices, steered and watched by their control sockets, by a member of the group that may; others
# are refused; what a killed gpuvm leaves goes.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

command -v curl >/dev/null || { echo "curl is missing; install as root: apt-get install curl" >&2; exit 1; }
use_kernel 6.12
LAB_OPERATE_INITRD=$(image_for 6.12 button,evdev,virtio_pci,virtio_console)
export LAB_OPERATE_INITRD
fresh_out
inside gpu,usb operate.sh
