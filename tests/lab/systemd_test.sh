#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# systemd 257 of Debian 13 in a guest that has nothing of gpuvm's: it says by its notify protocol that it is up and what "systemctl exit"
# gave, and runs a command that comes with a unit as credentials, whose status is given by the status port.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
optional --print-systemd || skip "$OPTIONAL"
use_kernel 6.12
LAB_SYSTEMD_INITRD=$REPO/build/lab/systemd.initrd
export LAB_SYSTEMD_INITRD
if [[ ! $LAB_SYSTEMD_INITRD -nt $OPTIONAL/init ]]; then
  (cd "$OPTIONAL" && find . -mindepth 1 | cpio -o -H newc --quiet -R 0:0 | gzip -1) >"$LAB_SYSTEMD_INITRD.tmp"
  mv "$LAB_SYSTEMD_INITRD.tmp" "$LAB_SYSTEMD_INITRD"
fi
inside none systemd.sh
