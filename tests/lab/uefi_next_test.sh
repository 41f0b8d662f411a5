#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# As uefi_test.sh, with the OVMF of Debian's next release (edk2 2025.02, which puts the PCI configuration space elsewhere): guests, variables, kills, a large BAR.
set -euo pipefail
. "$(dirname "$0")/lib/outside.sh"

fresh_out
use_kernel 6.12
LAB_EFI_INITRD=$(image_for 6.12 efivarfs)
LAB_OVMF=$(scripts/lab --print-ovmf trixie)
export LAB_EFI_INITRD LAB_OVMF LAB_ECAM=0xe0000000 LAB_UEFI_TESTS="test_gpu test_large_bar"
inside gpu,usb,bar=16G uefi.sh
