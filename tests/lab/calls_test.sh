#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Log mode in short: guests with a disk, networks, a reboot and a vfio-user device make no system call that the lists of their threads'
# roles lack. The whole suite in log mode, which also looks for rows that nobody uses, is scripts/sandbox-calls --run.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
fresh_out
inside nvme calls.sh
