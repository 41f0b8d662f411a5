#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm report: what is in the file, without and with resets, what is not, and that the host is as before.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
inside gpu,usb,nvme,vgpu report.sh
