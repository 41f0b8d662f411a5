#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As soak_test.sh, with render GPU and NVMe disk.
set -euo pipefail
SOAK_SETS=vgpu,nvme exec "$(dirname "$0")/soak_test.sh"
