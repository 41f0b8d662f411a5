#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm devices and gpuvm check on the lab's host: the map against lspci's names, the entries that it prints in a guest that runs,
# devices in use, and preconditions that fail, whose printed cure is carried out.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
LAB_HOST_USE=$(scripts/lab --build-module 6.12 tests/lab/host/host_use)/host_use.ko
export LAB_HOST_USE
fresh_out
inside gpu,usb,gpu2 check.sh
