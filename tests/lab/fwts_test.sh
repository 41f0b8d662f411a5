#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The firmware test suite (fwts of Debian sid) in a guest with the newest kernel judges tables, methods and clock: nothing fails but
# what tests/lab/inside/fwts.sh names with its reason.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
optional --print-kernel sid || skip "$OPTIONAL"
LAB_GUEST_KERNEL=$OPTIONAL
optional --print-fwts || skip "$OPTIONAL"
LAB_FWTS_INITRD=$OUT/fwts.initrd
export LAB_GUEST_KERNEL LAB_FWTS_INITRD
cp "$(image_for sid '')" "$LAB_FWTS_INITRD"
(cd "$OPTIONAL" && find . | cpio -o -H newc --quiet | gzip -1) >>"$LAB_FWTS_INITRD"
inside gpu,usb fwts.sh
