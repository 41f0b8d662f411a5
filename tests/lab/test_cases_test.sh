#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# gpuvm test with the test modules that Debian's kernels have (no KUnit: none of them has it), run as kselftest runs them: cases in JSON and
# JUnit, one that runs when the kernel panics, the kernel's log, files of a share, and a disk for artifacts that is full.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

command -v /usr/lib/qemu/virtiofsd >/dev/null \
  || { echo "/usr/lib/qemu/virtiofsd is missing; install as root: apt-get install qemu-system-common" >&2; exit 1; }
use_kernel 6.12
LAB_SHARE_INITRD=$(image_for 6.12 virtio_pci,virtio_console,vmw_vsock_virtio_transport,virtiofs,dmi-sysfs)
LAB_TEST_MODULES=$(scripts/lab --print-modules 6.12)
export LAB_SHARE_INITRD LAB_TEST_MODULES
fresh_out
inside none test_cases.sh
