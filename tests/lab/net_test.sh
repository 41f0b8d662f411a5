#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Networks (virtio-net): by a tap on a bridge and by passt, megabytes both ways before and after a reboot; a killed passt is a
# link that is down; a killed gpuvm leaves neither tap nor passt.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

command -v passt >/dev/null || { echo "passt is missing; install it as root: apt-get install passt" >&2; exit 1; }
use_kernel 6.12
LAB_NET_INITRD=$(image_for 6.12 virtio_pci,virtio_net)
export LAB_NET_INITRD
fresh_out
inside none net.sh
