#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A guest whose control socket is attacked: broken and slow requests, a thousand connections, readers that do not read. It runs on at
# its pace, gpuvm has as many descriptors as before, and the socket serves on.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

command -v curl >/dev/null || { echo "curl is missing; install as root: apt-get install curl" >&2; exit 1; }
use_kernel 6.12
fresh_out
inside gpu,usb api.sh
