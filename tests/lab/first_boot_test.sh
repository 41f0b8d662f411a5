#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# First boot: credentials as the guest's kernel has them from SMBIOS and cloud-init's volume as it mounts it, in all three boot
# modes and after a reboot; gpuvm ssh to whoever answers at the guest's port; bad files told before anything happens.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

for program in passt ssh ssh-keygen; do
  command -v "$program" >/dev/null || { echo "$program is missing; install it as root: apt-get install passt openssh-client" >&2; exit 1; }
done
use_kernel 6.12
LAB_FIRST_BOOT_INITRD=$(image_for 6.12 virtio_pci,virtio_blk,virtio_net,vfat,nls_cp437,nls_ascii,dmi-sysfs)
export LAB_FIRST_BOOT_INITRD
fresh_out
inside none first_boot.sh
