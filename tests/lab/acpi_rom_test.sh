#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Option ROMs that ACPI hands out, as a guest's kernel gets them: _ROM by a test driver, the VFCT from the table; in all three boot
# modes.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

use_kernel 6.12
LAB_ACPI_ROM=$(scripts/lab --build-module 6.12 tests/lab/guest/acpi-rom)/acpi_rom.ko
export LAB_ACPI_ROM
fresh_out
inside gpu,gpu2 acpi_rom.sh
